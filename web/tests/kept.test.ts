import { afterEach, describe, expect, it, vi } from "vitest";

import type { Message } from "@msrp-conference/msrp-room";

import { keepable, kept } from "../src/kept.js";

function message(id: string, body: string, contentType = "text/plain"): Message {
  return {
    id,
    from: "sip:bob@example.com",
    name: "Bob",
    contentType,
    body: new TextEncoder().encode(body),
    text: contentType === "text/plain" ? body : "",
    when: new Date("2026-11-30T12:00:00Z"),
    own: false,
    history: false,
    wantsDisplay: false,
  };
}

/** Storage for so many characters. */
function storage(room: number): void {
  const items = new Map<string, string>();
  vi.stubGlobal("sessionStorage", {
    getItem: (name: string) => items.get(name) ?? null,
    removeItem: (name: string) => void items.delete(name),
    clear: () => items.clear(),
    setItem: (name: string, value: string) => {
      const others = Array.from(items).filter(([other]) => other !== name);
      const used = others.reduce((sum, [, other]) => sum + other.length, value.length);
      if (used > room) throw new Error("QuotaExceededError");
      items.set(name, value);
    },
  });
}

describe("what is kept", () => {
  afterEach(() => void vi.unstubAllGlobals());

  it("is the newest that fits", () => {
    storage(5_000);
    for (let at = 0; at < 50; at += 1) {
      kept.messages = [...kept.messages, keepable(message(`m${at}`, "x".repeat(100)))];
      expect(kept.messages.at(-1)?.id).toBe(`m${at}`);
    }
    expect(kept.messages.length).toBeGreaterThan(5);
  });

  it("makes room for the session", () => {
    storage(5_000);
    kept.messages = Array.from({ length: 15 }, (_, at) => keepable(message(`m${at}`, "x")));
    const seen = Array.from({ length: 200 }, (_, at) => `id number ${at}`);
    kept.session = { seen };
    expect(kept.session?.seen).toEqual(seen);
    expect(kept.messages.at(-1)?.id).toBe("m14");
  });

  it("is a line where it is a file or a long text", () => {
    expect(keepable(message("1", "short")).text).toBe("short");
    expect(keepable(message("2", "x".repeat(20_000))).text).toMatch(/^text\/plain, 20 KiB \(not kept/);
    const picture = keepable(message("3", "x".repeat(3_000), "image/png"));
    expect(picture.text).toMatch(/^image\/png, 3 KiB \(not kept/);
    expect(picture.contentType).toBe("text/plain");
  });

  it("is nothing where storage is forbidden", () => {
    vi.stubGlobal("sessionStorage", undefined);
    kept.entry = { name: "alice", room: "lobby", account: false };
    kept.messages = [keepable(message("1", "x"))];
    kept.session = { seen: [] };
    kept.clear();
    expect([kept.entry, kept.session, kept.messages, kept.reason]).toEqual([undefined, undefined, [], undefined]);
  });
});
