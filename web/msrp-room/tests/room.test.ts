import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { type Chunk, header } from "../src/chunk.js";
import { IMDN, parseCpim, writeCpim } from "../src/cpim.js";
import { type Disposition, IMDN_TYPE, writeNotification } from "../src/imdn.js";
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
  /** Refuses the last subscription. */
  unsubscribe: (() => void) | undefined;
  refuseSubscriptions = false;
  /** Delays the answer to a call. */
  ringing: Promise<void> | undefined;
  /** Delays the opening of a WebSocket. */
  opening: Promise<void> | undefined;
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
    await this.ringing;
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

  subscribe(
    _room: string,
    handlers: { document(body: string): void; ended(): void },
  ): { end(): void } {
    this.subscriptions += 1;
    this.document = handlers.document;
    this.unsubscribe = handlers.ended;
    if (this.refuseSubscriptions) setTimeout(handlers.ended, 0);
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
  say(from: string, text: string, when: Date, id: string, to = ROOM, wish = "", contentType = "text/plain"): void {
    const headers = [{ namespace: IMDN, name: "Message-ID", value: id }];
    if (wish !== "") headers.push({ namespace: IMDN, name: "Disposition-Notification", value: wish });
    const body = writeCpim({
      from: { uri: from, name: from },
      to: { uri: to },
      dateTime: when,
      headers,
      contentType,
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
    vi.spyOn(Math, "random").mockReturnValue(0.5);
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
          if (name !== "open") return;
          void (made.opening ?? Promise.resolve()).then(() => listener({} as never));
        }
      },
    );
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });

  /** Bob's client reports what became of a private message. */
  function dispose(from: string, messageId: string, disposition: Disposition): void {
    const document = writeNotification({ messageId, dateTime: "", disposition });
    world.say(from, document, new Date(), disposition, ALICE, "", IMDN_TYPE);
  }

  function watch(room: Room): string[] {
    const deliveries: string[] = [];
    room.on("delivery", ({ delivery, reason }) => deliveries.push(`${delivery} ${reason}`.trim()));
    return deliveries;
  }

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

  it("leaves though the call is not answered yet", async () => {
    let pickUp = (): void => undefined;
    world.ringing = new Promise((resolve) => (pickUp = resolve));
    const room = await join();
    room.leave();
    expect(world.isConnected).toBe(true);
    pickUp();
    await settle();
    expect(world.byes).toBe(1);
    expect(world.isConnected).toBe(false);
    expect(world.sockets).toEqual([]);
    expect(world.subscriptions).toBe(0);
    expect(saved?.dialog).toBeUndefined();
    expect(states).toEqual(["connecting", "left"]);
  });

  it("leaves though its WebSocket is not open yet", async () => {
    let open = (): void => undefined;
    world.opening = new Promise((resolve) => (open = resolve));
    const room = await join();
    room.leave();
    open();
    await settle();
    expect(world.byes).toBe(1);
    expect(world.socket.sent).toEqual([]);
    expect(world.socket.isOpen).toBe(false);
    expect(world.subscriptions).toBe(0);
    expect(states).toEqual(["connecting", "left"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("stays away when a new connection fails after it has left", async () => {
    const room = await join();
    let open = (): void => undefined;
    world.opening = new Promise((resolve) => (open = resolve));
    world.invites[0]?.handlers.offered(answer(7));
    await settle();
    room.leave();
    await vi.advanceTimersByTimeAsync(20_000);
    open();
    expect(states).toEqual(["connecting", "online", "left"]);
    expect(world.invites).toHaveLength(1);
  });

  it("subscribes less and less often where it is refused, and at once after a document", async () => {
    world.refuseSubscriptions = true;
    const room = await join();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(world.subscriptions).toBeGreaterThan(10);
    expect(world.subscriptions).toBeLessThan(20);
    world.refuseSubscriptions = false;
    await vi.advanceTimersByTimeAsync(60_000);
    world.document?.("<conference-info/>");
    const before = world.subscriptions;
    world.unsubscribe?.();
    await vi.advanceTimersByTimeAsync(500);
    expect(world.subscriptions).toBe(before + 1);
    world.unsubscribe?.();
    room.leave();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("waits for all of the history before it says anything again", async () => {
    world.server = (chunk, socket) => {
      if (header(chunk.headers, "Content-Type") === undefined) agree(chunk, socket);
    };
    const room = await join();
    const arrived = room.say("arrived");
    await settle();
    world.server = agree;
    world.socket.close();
    await settle();
    for (const id of ["1", "2", "3"]) {
      await vi.advanceTimersByTimeAsync(1_000);
      world.say("sip:bob@example.com", id, new Date("2026-11-30T11:00:00Z"), id);
    }
    await vi.advanceTimersByTimeAsync(1_000);
    world.say(ALICE, "arrived", arrived.when, arrived.id);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(world.said).toEqual(["arrived"]);
  });

  it("waits for the history no longer than half a minute, and not for what is said now", async () => {
    const room = await join();
    await vi.advanceTimersByTimeAsync(2_000);
    for (const [when, seconds] of [[new Date("2026-11-30T11:00:00Z"), 30], [undefined, 2]] as const) {
      world.socket.close();
      await settle();
      room.say(`after ${seconds} s`);
      for (let second = 1; second <= seconds; second += 1) {
        expect(world.said).not.toContain(`after ${seconds} s`);
        await vi.advanceTimersByTimeAsync(1_000);
        world.say("sip:bob@example.com", "x", when ?? new Date(), `${seconds}-${second}`);
      }
      expect(world.said).toContain(`after ${seconds} s`);
    }
  });

  it("connects anew when a text has no answer, and gives up the second time", async () => {
    world.server = (chunk, socket) => {
      if (header(chunk.headers, "Content-Type") === undefined) agree(chunk, socket);
    };
    const room = await join();
    const deliveries = watch(room);
    room.say("lost");
    await vi.advanceTimersByTimeAsync(31_000);
    expect(world.sockets).toHaveLength(2);
    expect(deliveries).toEqual([]);
    await vi.advanceTimersByTimeAsync(33_000);
    expect(world.said).toEqual(["lost", "lost"]);
    expect(deliveries).toEqual(["failed no answer"]);
    expect(room.state).toBe("online");
  });

  it("believes only the addressee of a private message that it was delivered", async () => {
    const room = await join();
    const deliveries = watch(room);
    const open = room.say("to all");
    const secret = room.say("psst", "sip:bob@example.com");
    await settle();
    dispose("sip:bob@example.com", open.id, "displayed");
    dispose("sip:mallory@example.com", secret.id, "displayed");
    dispose("sip:bob@example.com", "unknown", "displayed");
    expect(deliveries).toEqual(["sent", "sent"]);
    dispose("sip:bob@example.com", secret.id, "delivered");
    dispose("sip:bob@example.com", secret.id, "displayed");
    dispose("sip:bob@example.com", secret.id, "delivered");
    expect(deliveries).toEqual(["sent", "sent", "delivered", "displayed"]);
  });

  it("does not say that a message was sent when it was read already", async () => {
    const room = await join();
    const deliveries = watch(room);
    world.server = (chunk, socket) => {
      if (chunk.method === undefined) return;
      dispose("sip:bob@example.com", secret.id, "displayed");
      agree(chunk, socket);
    };
    const secret = room.say("psst", "sip:bob@example.com");
    await settle();
    expect(deliveries).toEqual(["displayed"]);
  });

  it("sends after a reload what had no answer, unless the room has it", async () => {
    world.server = (chunk, socket) => {
      if (header(chunk.headers, "Content-Type") === undefined) agree(chunk, socket);
    };
    const before = await join();
    const arrived = before.say("arrived");
    const lost = before.say("lost");
    const secret = before.say("psst", "sip:bob@example.com");
    before.sendFile("image/png", encode("a picture"));
    await settle();
    const first = JSON.parse(JSON.stringify(saved)) as Saved;
    expect(first.seen).toEqual([]);
    world.server = agree;
    const room = await join({ saved: first });
    expect(room.unsent.map((it) => it.id)).toEqual([arrived.id, lost.id, secret.id]);
    const deliveries = watch(room);
    world.say(ALICE, "arrived", arrived.when, arrived.id);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(world.said).toEqual(["arrived", "lost", "psst", "lost", "psst"]);
    expect(deliveries).toEqual(["sent", "sent", "sent"]);
    expect(heard).toEqual([]);
    expect(room.unsent).toEqual([]);
    expect(saved?.unsent).toEqual([]);
    expect(saved?.seen).toEqual([arrived.id, lost.id, secret.id]);
    dispose("sip:bob@example.com", secret.id, "displayed");
    expect(deliveries.at(-1)).toBe("displayed");
  });

  it("saves no more unsent text than a page can keep", async () => {
    world.server = () => undefined;
    const room = await join();
    for (let at = 0; at < 10; at += 1) room.say("x".repeat(60_000));
    expect(saved?.unsent).toHaveLength(4);
    expect(room.unsent).toHaveLength(10);
  });
});
