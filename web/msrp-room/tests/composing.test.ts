import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import {
  type Composing,
  ComposingReceiver,
  ComposingSender,
  parseComposing,
  writeComposing,
} from "../src/composing.js";

describe("isComposing (RFC 3994)", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("documents are read back", () => {
    const document = writeComposing({ active: true, contentType: "text/plain", refresh: 60 });
    expect(parseComposing(document)).toEqual({ active: true, refresh: 60 });
    expect(parseComposing(writeComposing({ active: false }))).toEqual({ active: false });
    expect(parseComposing("<x/>")).toBeUndefined();
    expect(parseComposing("no XML")).toBeUndefined();
  });

  it("is said at the first key, once a minute while typing goes on, and after 15 s of silence", () => {
    const told: boolean[] = [];
    const sender = new ComposingSender((state: Composing) => told.push(state.active));
    for (let second = 0; second < 65; second += 5) {
      sender.typed();
      vi.advanceTimersByTime(5_000);
    }
    expect(told).toEqual([true, true]);
    vi.advanceTimersByTime(15_000);
    expect(told).toEqual([true, true, false]);
  });

  it("is not said when the message itself says it", () => {
    const told: boolean[] = [];
    const sender = new ComposingSender((state) => told.push(state.active));
    sender.typed();
    sender.sent();
    vi.advanceTimersByTime(60_000);
    sender.stopped();
    expect(told).toEqual([true]);
  });

  it("ends by itself when it is not said again", () => {
    let typing: readonly string[] = [];
    const receiver = new ComposingReceiver((users) => (typing = users));
    receiver.take("alice", { active: true, refresh: 60 });
    receiver.take("bob", { active: true });
    expect(typing).toEqual(["alice", "bob"]);
    vi.advanceTimersByTime(60_000);
    expect(typing).toEqual(["bob"]);
    vi.advanceTimersByTime(60_000);
    expect(typing).toEqual([]);
    receiver.take("alice", { active: true });
    receiver.forget("alice");
    expect(typing).toEqual([]);
  });
});
