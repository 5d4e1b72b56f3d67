import { describe, expect, it } from "vitest";

import { Roster } from "../src/roster.js";

function document(version: number, state: string, inner: string): string {
  return (
    `<?xml version="1.0"?><conference-info xmlns="urn:ietf:params:xml:ns:conference-info" ` +
    `xmlns:xcon="urn:ietf:params:xml:ns:xcon-conference-info" entity="sip:r@h" state="${state}" ` +
    `version="${version}">${inner}</conference-info>`
  );
}

function user(name: string, state: string, inner: string, nickname = ""): string {
  const called = nickname === "" ? "" : ` xcon:nickname="${nickname}"`;
  return `<user entity="sip:${name}@h" state="${state}"${called}>${inner}</user>`;
}

const ENDPOINT = (name: string, status: string, state = "full"): string =>
  `<endpoint entity="sip:${name}" state="${state}"><status>${status}</status></endpoint>`;

const FULL = document(
  1,
  "full",
  `<conference-description><subject>Talk</subject></conference-description>` +
    `<users>${user("alice", "full", `<display-text>Alice</display-text>${ENDPOINT("a1", "connected")}`, "Al")}` +
    `${user("bob", "full", ENDPOINT("b1", "connected"))}</users>`,
);

function names(roster: Roster): string[] {
  return roster.participants.map((it) => it.uri);
}

describe("conference-info (RFC 4575)", () => {
  it("begins with the full state", () => {
    const roster = new Roster();
    expect(roster.take(FULL)).toBe("changed");
    expect(names(roster)).toEqual(["sip:alice@h", "sip:bob@h"]);
    expect(roster.subject).toBe("Talk");
    expect(roster.find("sip:alice@h")).toEqual({
      uri: "sip:alice@h",
      display: "Alice",
      nickname: "Al",
      roles: [],
      endpoints: [{ entity: "sip:a1", status: "connected" }],
    });
  });

  it("goes on with what has changed", () => {
    const roster = new Roster();
    roster.take(FULL);
    const changes = [
      user("alice", "partial", ENDPOINT("a2", "connected"), "Ally"),
      user("bob", "deleted", ""),
      user("carol", "full", ENDPOINT("c1", "dialing-out")),
    ];
    expect(roster.take(document(2, "partial", `<users state="partial">${changes.join("")}</users>`))).toBe("changed");
    expect(names(roster)).toEqual(["sip:alice@h", "sip:carol@h"]);
    const alice = roster.find("sip:alice@h");
    expect([alice?.display, alice?.nickname]).toEqual(["Alice", "Ally"]);
    expect(alice?.endpoints.map((it) => it.entity)).toEqual(["sip:a1", "sip:a2"]);
    const gone = user("alice", "partial", ENDPOINT("a1", "", "deleted"));
    roster.take(document(3, "partial", `<users state="partial">${gone}</users>`));
    expect(roster.find("sip:alice@h")?.endpoints.map((it) => it.entity)).toEqual(["sip:a2"]);
    const hold = user("alice", "partial", ENDPOINT("a2", "on-hold", "partial"));
    roster.take(document(4, "partial", `<users state="partial">${hold}</users>`));
    expect(roster.find("sip:alice@h")?.endpoints[0]?.status).toBe("on-hold");
  });

  it("notices old documents and gaps", () => {
    const roster = new Roster();
    expect(roster.take(document(5, "partial", ""))).toBe("gap");
    roster.take(FULL);
    expect(roster.take(document(1, "partial", ""))).toBe("old");
    expect(roster.take(document(3, "partial", `<users state="partial"/>`))).toBe("gap");
    expect(names(roster)).toHaveLength(2);
    expect(roster.take(document(9, "full", `<users>${user("dave", "full", "")}</users>`))).toBe("changed");
    expect(names(roster)).toEqual(["sip:dave@h"]);
    expect(roster.take(document(10, "deleted", ""))).toBe("ended");
    expect(roster.take("<html/>")).toBe("malformed");
    expect(roster.take("not XML <")).toBe("malformed");
  });
});
