import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { type Chunk, header } from "../src/chunk.js";
import { IMDN, parseCpim, writeCpim } from "../src/cpim.js";
import { decode, encode } from "../src/octets.js";
import { type ConnectionState, type Message, Room, type RoomOptions, type Saved } from "../src/room.js";
import {
  type Call,
  type CallHandlers,
  SipError,
  type Signalling,
  type SignallingHandlers,
} from "../src/signalling.js";
import { agree, FakeSocket, settle } from "./fake-socket.js";

const ROOM = "sip:lobby@example.com";
const ALICE = "sip:alice@example.com";

const answer = (session: number): string =>
  `v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\nm=message 443 TCP/TLS/MSRP *\r\n` +
  `a=accept-types:message/cpim\r\na=path:msrps://room.example:443/s${session};ws\r\n` +
  `a=setup:passive\r\na=chatroom:nickname private-messages\r\n`;

/** A proxy and its room, as the client sees them. */
class World implements Signalling {
  isConnected = false;
  handlers: SignallingHandlers | undefined;
  readonly invites: { headers: readonly string[]; sdp: string; handlers: CallHandlers }[] = [];
  readonly sockets: FakeSocket[] = [];
  readonly refreshed: string[] = [];
  readonly urls: string[] = [];
  byes = 0;
  subscriptions = 0;
  refuse: ((attempt: number) => SipError | undefined) | undefined;
  refuseRefresh = false;
  document: ((body: string) => void) | undefined;
  server: (chunk: Chunk, socket: FakeSocket) => void = agree;

  start(handlers: SignallingHandlers): void {
    this.handlers = handlers;
    this.connect();
  }

  connect(): void {
    this.isConnected = true;
    this.handlers?.connected();
  }

  disconnect(): void {
    this.isConnected = false;
    this.handlers?.disconnected();
  }

  async call(
    _room: string,
    sdp: string,
    headers: readonly string[],
    handlers: CallHandlers,
  ): Promise<Call> {
    this.invites.push({ headers, sdp, handlers });
    const number = this.invites.length;
    const refusal = this.refuse?.(number);
    if (refusal !== undefined) throw refusal;
    return {
      id: { callId: `call${number}`, localTag: "l", remoteTag: "r" },
      answer: answer(number),
      refresh: async (description) => {
        if (this.refuseRefresh) throw new SipError(481, "gone");
        this.refreshed.push(description);
      },
      bye: () => void (this.byes += 1),
    };
  }

  subscribe(_room: string, handlers: { document(body: string): void }): { end(): void } {
    this.subscriptions += 1;
    this.document = handlers.document;
    return { end: () => undefined };
  }

  stop(): void {
    this.isConnected = false;
  }

  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error("no connection");
    return socket;
  }

  /** Texts that have come to the room, in their order. */
  get said(): string[] {
    return this.sockets
      .flatMap((socket) => socket.requests)
      .filter((chunk) => header(chunk.headers, "Content-Type") === "message/cpim")
      .map((chunk) => parseCpim(chunk.body ?? new Uint8Array()))
      .filter((cpim) => cpim.contentType.startsWith("text/plain"))
      .map((cpim) => decode(cpim.body));
  }

  /** Somebody says something. */
  say(from: string, text: string, when: Date, id: string, to = ROOM, wish = ""): void {
    const headers = [{ namespace: IMDN, name: "Message-ID", value: id }];
    if (wish !== "") headers.push({ namespace: IMDN, name: "Disposition-Notification", value: wish });
    const body = writeCpim({
      from: { uri: from, name: from },
      to: { uri: to },
      dateTime: when,
      headers,
      contentType: "text/plain",
      body: encode(text),
    });
    this.socket.receive({
      transaction: `tid${id}`,
      method: "SEND",
      toPath: [/a=path:(\S+)/.exec(this.invites.at(-1)?.sdp ?? "")?.[1] ?? ""],
      fromPath: ["msrps://room.example:443/s1;ws"],
      headers: [
        ["Message-ID", id],
        ["Byte-Range", `1-${body.length}/${body.length}`],
        ["Content-Type", "message/cpim"],
      ],
      body,
      flag: "$",
    });
  }
}

describe("a room", () => {
  let world: World;
  let heard: Message[];
  let states: ConnectionState[];
  let saved: Saved | undefined;

  beforeEach(() => {
    vi.useFakeTimers({ now: new Date("2026-11-30T12:00:00Z") });
    world = new World();
    heard = [];
    states = [];
    saved = undefined;
    const made = world;
    vi.stubGlobal(
      "WebSocket",
      class extends FakeSocket {
        constructor(url: string) {
          super((chunk, socket) => made.server(chunk, socket));
          made.urls.push(url);
          made.sockets.push(this);
        }
        override addEventListener(name: string, listener: (event: never) => void): void {
          super.addEventListener(name, listener);
          if (name === "open") queueMicrotask(() => listener({} as never));
        }
      },
    );
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  async function join(options: Partial<RoomOptions> = {}): Promise<Room> {
    const room = new Room({
      room: ROOM,
      user: ALICE,
      name: "Alice",
      signalling: world,
      save: (it) => (saved = it),
      ...options,
    });
    room.on("message", (message) => heard.push(message));
    room.on("state", ({ state }) => states.push(state));
    room.join();
    await settle();
    return room;
  }

  it("is joined by INVITE, MSRP and SUBSCRIBE", async () => {
    const room = await join({ secure: true });
    expect(room.state).toBe("online");
    expect(world.invites[0]?.sdp).toMatch(/m=message 9 TCP\/TLS\/MSRP \*\r\n[^]*a=path:msrps:\/\/\S+;ws\r\na=setup:active/);
    expect(world.urls).toEqual(["wss://room.example:443/"]);
    expect(world.subscriptions).toBe(1);
    expect(room.features).toEqual({ nicknames: true, privateMessages: true });
  });

  it("shows a message once, and marks what was said before", async () => {
    await join();
    world.say("sip:bob@example.com", "old", new Date("2026-11-30T11:00:00Z"), "1");
    world.say("sip:bob@example.com", "new", new Date("2026-11-30T12:00:01Z"), "2");
    world.say("sip:bob@example.com", "new", new Date("2026-11-30T12:00:01Z"), "2");
    expect(heard.map((it) => [it.text, it.history])).toEqual([
      ["old", true],
      ["new", false],
    ]);
  });

  it("comes back after a lost connection in the place of what it was", async () => {
    const room = await join();
    await room.nickname("Al");
    await vi.advanceTimersByTimeAsync(2_000);
    world.say("sip:bob@example.com", "one", new Date(), "1");
    world.socket.close();
    await settle();
    expect(world.invites[1]?.headers).toEqual(["Replaces: call1;to-tag=r;from-tag=l"]);
    expect(room.state).toBe("online");
    expect(world.socket.requests.map((it) => it.method)).toContain("NICKNAME");
    // The room gives what it has kept: what is known of it is not shown again.
    world.say("sip:bob@example.com", "one", new Date("2026-11-30T12:00:00Z"), "1");
    world.say("sip:bob@example.com", "missed", new Date("2026-11-30T12:00:00Z"), "2");
    expect(heard.map((it) => [it.text, it.history, it.after])).toEqual([
      ["one", false, undefined],
      ["missed", true, "1"],
    ]);
    expect(states).toEqual(["connecting", "online", "reconnecting", "online"]);
  });

  it("says again what nobody has answered, unless the room has it", async () => {
    world.server = (chunk, socket) => {
      if (header(chunk.headers, "Content-Type") === undefined) agree(chunk, socket);
    };
    const room = await join();
    const arrived = room.say("arrived");
    room.say("lost");
    await settle();
    expect(world.said).toEqual(["arrived", "lost"]);
    const deliveries: string[] = [];
    room.on("delivery", ({ id, delivery }) => deliveries.push(`${id === arrived.id ? "arrived" : "lost"} ${delivery}`));
    world.server = agree;
    world.socket.close();
    await settle();
    // It is in the room's history: our own words, come back.
    world.say(ALICE, "arrived", arrived.when, arrived.id);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(world.said).toEqual(["arrived", "lost", "lost"]);
    expect(deliveries).toEqual(["arrived sent", "lost sent"]);
    expect(heard).toEqual([]);
  });

  it("tells what was refused", async () => {
    world.server = (chunk, socket) =>
      header(chunk.headers, "Content-Type") === undefined
        ? agree(chunk, socket)
        : socket.respond(chunk, 428, "not capable");
    const room = await join();
    const deliveries: string[] = [];
    room.on("delivery", ({ delivery, reason }) => deliveries.push(`${delivery} ${reason}`));
    room.say("psst", "sip:bob@example.com");
    await settle();
    expect(deliveries).toEqual(["failed not capable"]);
  });

  it("goes on after the proxy was away, when MSRP has lived through it", async () => {
    const room = await join();
    world.disconnect();
    expect(room.state).toBe("online");
    room.say("meanwhile");
    await settle();
    world.connect();
    await settle();
    expect(world.invites).toHaveLength(1);
    expect(world.refreshed).toEqual([world.invites[0]?.sdp]);
    expect(world.subscriptions).toBe(2);
    expect(world.said).toEqual(["meanwhile"]);
  });

  it("joins again when the call is not known any more", async () => {
    const room = await join();
    world.disconnect();
    world.refuseRefresh = true;
    world.refuse = (attempt) => (attempt === 2 ? new SipError(481, "no such dialog") : undefined);
    world.connect();
    await settle();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(world.invites.map((it) => it.headers.length)).toEqual([0, 1, 0]);
    expect(room.state).toBe("online");
  });

  it("goes where the room's new offer says", async () => {
    await join();
    const offered = world.invites[0]?.handlers.offered(answer(7).replace("room.example", "other.example"));
    expect(offered).toMatch(/a=setup:active/);
    await settle();
    expect(world.urls).toEqual(["wss://room.example:443/", "wss://other.example:443/"]);
    expect(states).toEqual(["connecting", "online", "online"]);
  });

  it("waits longer and longer for a room that is full, and gives up where it may not come in", async () => {
    world.refuse = () => new SipError(486, "Busy Here");
    await join();
    await vi.advanceTimersByTimeAsync(60_000);
    const attempts = world.invites.length;
    expect(attempts).toBeGreaterThan(4);
    expect(attempts).toBeLessThan(12);
    world.refuse = () => new SipError(403, "banned");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(states.at(-1)).toBe("left");
  });

  it("knows after a reload who it was", async () => {
    await join();
    world.say("sip:bob@example.com", "one", new Date(), "1");
    const first = saved;
    expect(first?.dialog?.callId).toBe("call1");
    await join(first === undefined ? {} : { saved: first });
    expect(world.invites[1]?.headers).toHaveLength(1);
    world.say("sip:bob@example.com", "one", new Date("2026-11-30T11:59:00Z"), "1");
    expect(heard).toHaveLength(1);
  });

  it("leaves with BYE, and when it is told to", async () => {
    const room = await join();
    room.leave();
    expect(world.byes).toBe(1);
    expect(saved?.dialog).toBeUndefined();
    const reasons: string[] = [];
    const other = await join();
    other.on("state", ({ reason }) => reasons.push(reason));
    world.invites[1]?.handlers.ended('SIP;cause=200;text="booted"');
    expect(other.state).toBe("left");
    expect(reasons).toEqual(["booted"]);
  });

  it("tells who sent a private message that it has come and was shown", async () => {
    const room = await join();
    world.say("sip:bob@example.com", "psst", new Date(), "1", ALICE, "positive-delivery, display");
    expect(heard[0]?.privateTo).toBe(ALICE);
    if (heard[0] !== undefined) room.shown(heard[0]);
    await settle();
    const notifications = world.socket.requests
      .filter((it) => header(it.headers, "Content-Type") === "message/cpim")
      .map((it) => parseCpim(it.body ?? new Uint8Array()));
    expect(notifications.map((it) => it.to.uri)).toEqual(["sip:bob@example.com", "sip:bob@example.com"]);
    expect(decode(notifications[0]?.body ?? new Uint8Array())).toContain("<delivered/>");
    expect(decode(notifications[1]?.body ?? new Uint8Array())).toContain("<displayed/>");
  });

  it("asks for the whole roster when a document is missing", async () => {
    await join();
    const document = (version: number, state: string): string =>
      `<conference-info xmlns="urn:ietf:params:xml:ns:conference-info" entity="${ROOM}" state="${state}" version="${version}"><users/></conference-info>`;
    world.document?.(document(1, "full"));
    world.document?.(document(3, "partial"));
    expect(world.subscriptions).toBe(2);
  });
});
