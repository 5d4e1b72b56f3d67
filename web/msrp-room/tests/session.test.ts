import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { type Chunk, header } from "../src/chunk.js";
import { decode, encode } from "../src/octets.js";
import { type Content, MsrpError, Session } from "../src/session.js";
import { agree, FakeSocket, settle } from "./fake-socket.js";

const OWN = "msrps://x.invalid:9/own;ws";
const ROOM = "msrps://room.example:443/theirs;ws";

function session(server = agree): { session: Session; socket: FakeSocket } {
  const socket = new FakeSocket(server);
  const made = new Session({
    socket: socket as unknown as WebSocket,
    localPath: [OWN],
    remotePath: [ROOM],
    maxSize: 100_000,
    acceptTypes: ["message/cpim"],
  });
  return { session: made, socket };
}

function send(octets: string, headers: [string, string][], flag: "$" | "+" | "#" = "$") {
  return {
    transaction: `t${headers.length}x${octets.length}`,
    method: "SEND",
    toPath: [OWN],
    fromPath: [ROOM],
    headers: [["Content-Type", "message/cpim"] as const, ...headers],
    body: encode(octets),
    flag,
  };
}

describe("a session", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("is bound by an empty SEND, and kept open", async () => {
    const { session: bound, socket } = session();
    await bound.bind();
    expect(socket.requests).toHaveLength(1);
    expect(header(socket.requests[0]?.headers ?? [], "Byte-Range")).toBe("1-0/0");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(socket.requests).toHaveLength(3);
    bound.close();
  });

  it("notices that nobody answers any more", async () => {
    let silent = false;
    const { session: bound } = session((chunk, socket) => silent || agree(chunk, socket));
    await bound.bind();
    silent = true;
    const closed = vi.fn();
    bound.on("closed", closed);
    await vi.advanceTimersByTimeAsync(40_000);
    expect(closed).toHaveBeenCalledOnce();
  });

  it("sends what is large in chunks that can be put together", async () => {
    const { session: sender, socket } = session();
    const body = encode("x".repeat(1_000_000));
    await sender.send({ messageId: "m1", contentType: "message/cpim", body });
    expect(socket.requests.length).toBeGreaterThan(10);
    const octets = socket.requests.reduce((sum, chunk) => sum + (chunk.body?.length ?? 0), 0);
    expect(octets).toBe(1_000_000);
    expect(new Set(socket.requests.map((it) => header(it.headers, "Message-ID")))).toEqual(new Set(["m1"]));
    expect(socket.requests.map((it) => it.flag).join("")).toMatch(/^\+*\$$/);
  });

  it("keeps a window: nothing more goes out while nobody answers", async () => {
    const { session: sender, socket } = session(() => undefined);
    const body = encode("x".repeat(5_000_000));
    const sent = sender.send({ messageId: "m1", contentType: "message/cpim", body });
    await settle();
    expect(socket.requests).toHaveLength(8);
    sender.close();
    await expect(sent).rejects.toThrow("lost");
  });

  it("stops a message that is refused, and says why", async () => {
    const { session: sender, socket } = session((chunk, it) => it.respond(chunk, 413, "too large"));
    const body = encode("x".repeat(5_000_000));
    const sent = sender.send({ messageId: "m1", contentType: "message/cpim", body });
    await expect(sent).rejects.toMatchObject({ status: 413, comment: "too large" });
    expect(socket.requests.length).toBeLessThan(20);
  });

  it("puts together what comes in chunks, also of two messages at a time", () => {
    const { session: receiver, socket } = session();
    const heard: Content[] = [];
    receiver.on("message", (content) => heard.push(content));
    socket.receive(send("one ", [["Message-ID", "a"], ["Byte-Range", "1-*/7"]], "+"));
    socket.receive(send("other", [["Message-ID", "b"], ["Byte-Range", "1-5/5"]]));
    socket.receive(send("two", [["Message-ID", "a"], ["Byte-Range", "5-7/7"]]));
    expect(heard.map((it) => decode(it.body))).toEqual(["other", "one two"]);
    expect(socket.responses.map((it) => it.status)).toEqual([200, 200, 200]);
  });

  it("lets go of what is given up, has a hole or is too large", () => {
    const { session: receiver, socket } = session();
    const heard = vi.fn();
    receiver.on("message", heard);
    socket.receive(send("half", [["Message-ID", "a"], ["Byte-Range", "1-4/8"]], "+"));
    socket.receive(send("", [["Message-ID", "a"], ["Byte-Range", "5-4/8"]], "#"));
    socket.receive(send("rest", [["Message-ID", "a"], ["Byte-Range", "5-8/8"]]));
    socket.receive(send("x", [["Message-ID", "b"], ["Byte-Range", "1-1/999999"]], "+"));
    expect(heard).not.toHaveBeenCalled();
    expect(socket.responses.at(-1)?.status).toBe(413);
  });

  it("answers as it is asked to", () => {
    const { session: receiver, socket } = session();
    receiver.on("message", () => undefined);
    const one: [string, string] = ["Byte-Range", "1-1/1"];
    socket.receive(send("a", [one, ["Failure-Report", "no"]]));
    socket.receive(send("b", [one, ["Failure-Report", "partial"]]));
    expect(socket.sent).toHaveLength(0);
    socket.receive(send("c", [one, ["Success-Report", "yes"]]));
    expect(socket.requests.map((it) => it.method)).toEqual(["REPORT"]);
    socket.receive({ ...send("d", [one]), toPath: ["msrps://x.invalid:9/other;ws"] });
    expect(socket.responses.at(-1)?.status).toBe(481);
    const html = send("e", [one]);
    socket.receive({ ...html, headers: [["Content-Type", "text/html"], one] });
    expect(socket.responses.at(-1)?.status).toBe(415);
    socket.receive({ ...send("f", [one]), method: "DANCE" });
    expect(socket.responses.at(-1)?.status).toBe(501);
  });

  it("finishes an upload on a slow line, and keeps the connection", async () => {
    const queue: Chunk[] = [];
    const { session: sender, socket } = session((chunk) => void queue.push(chunk));
    const bound = sender.bind();
    await settle();
    socket.respond(queue.shift() as Chunk, 200);
    await bound;
    // One answer every nine seconds, in order, the keep-alive probes among them.
    const line = setInterval(() => {
      const next = queue.shift();
      if (next !== undefined) socket.respond(next, 200);
    }, 9_000);
    const closed = vi.fn();
    sender.on("closed", closed);
    const body = encode("x".repeat(1_000_000));
    const sent = sender.send({ messageId: "m1", contentType: "message/cpim", body });
    const taken = vi.fn();
    sent.then(taken, () => undefined);
    await vi.advanceTimersByTimeAsync(400_000);
    clearInterval(line);
    expect(closed).not.toHaveBeenCalled();
    expect(taken).toHaveBeenCalledOnce();
  });

  it("gives up a SEND that is passed over, though others are answered", async () => {
    const { session: sender } = session((chunk, it) => {
      if (header(chunk.headers, "Message-ID") !== "lost") agree(chunk, it);
    });
    await sender.bind();
    const failed = vi.fn();
    const content = { contentType: "message/cpim", body: encode("x") };
    sender.send({ messageId: "lost", ...content }).catch(failed);
    for (let second = 0; second < 31; second += 1) {
      void sender.send({ messageId: `m${second}`, ...content });
      await vi.advanceTimersByTimeAsync(1_000);
    }
    expect(failed).toHaveBeenCalledOnce();
    expect(sender.isOpen).toBe(true);
  });

  it("asks for nicknames", async () => {
    const { session: asking, socket } = session((chunk, it) => it.respond(chunk, 425, "taken"));
    const asked = asking.nickname('Al "x"');
    await expect(asked).rejects.toBeInstanceOf(MsrpError);
    await expect(asked).rejects.toMatchObject({ status: 425 });
    expect(header(socket.requests[0]?.headers ?? [], "Use-Nickname")).toBe('"Al \\"x\\""');
  });
});
