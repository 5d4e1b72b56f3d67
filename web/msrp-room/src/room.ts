/**
 * A room as its user sees it: joins it, keeps it joined through lost connections, a reload and
 * a restart of the server, and says each message once.
 */

import {
  COMPOSING,
  type Composing,
  ComposingReceiver,
  ComposingSender,
  parseComposing,
  writeComposing,
} from "./composing.js";
import { type Cpim, type CpimHeader, IMDN, cpimHeader, mediaType, parseCpim, writeCpim } from "./cpim.js";
import { Emitter } from "./events.js";
import { type Disposition, IMDN_TYPE, parseNotification, writeNotification } from "./imdn.js";
import { decode, encode, randomId } from "./octets.js";
import { Roster } from "./roster.js";
import { localUri, parseDescription, type Remote, socketUrl, writeDescription } from "./sdp.js";
import { type Content, MsrpError, openSocket, Session } from "./session.js";
import { type Call, type DialogId, SipError, type Signalling, type Subscription } from "./signalling.js";

const CPIM_TYPE = "message/cpim";
const TEXT = "text/plain;charset=utf-8";
/** The largest message taken unless the options say otherwise: what the server takes. */
const MAX_SIZE = 10 * 1024 * 1024;
/** How long a WebSocket may take to open. */
const OPEN_MS = 10_000;
/** Between attempts to join again: doubled from the first to the last. */
const FIRST_PAUSE_MS = 500;
const LAST_PAUSE_MS = 15_000;
/** The longest pause between attempts to subscribe. */
const LAST_SUBSCRIBE_PAUSE_MS = 60_000;
/** The history is through when no more of it has come for so long; then pending texts are sent. */
const HISTORY_MS = 1_500;
/** The longest time from the bind to that. */
const LONGEST_HISTORY_MS = 30_000;
/** A message older than this when we joined was said before. */
const SKEW_MS = 1_000;
/** Messages that are remembered, so that none is shown twice. */
const REMEMBERED = 1_000;
/** Texts without an answer that are saved, in octets. */
const SAVED_OCTETS = 256 * 1024;
/** Private messages of which a disposition is awaited. */
const ADDRESSEES = 200;
/** Answers after which another attempt would get the same. */
const FINAL = new Set([400, 401, 402, 403, 404, 407, 410, 415, 416, 420, 484, 485, 488, 603, 606]);

export type ConnectionState = "connecting" | "online" | "reconnecting" | "left";

export type Delivery = "sending" | "sent" | "failed" | Disposition;

export interface Message {
  /** Its imdn.Message-ID, or what stands for it. */
  readonly id: string;
  readonly from: string;
  /** What its sender is called in the message itself. */
  readonly name: string;
  readonly contentType: string;
  readonly body: Uint8Array;
  /** Of a text. */
  readonly text: string;
  readonly when: Date;
  /** To whom it was said in private. */
  readonly privateTo?: string;
  readonly own: boolean;
  /** It was said before we came, or while the connection was lost. */
  readonly history: boolean;
  /** The message it comes behind in the room's order, where that is not the last one shown. */
  readonly after?: string;
  /** Its sender wants to know when it is shown. */
  readonly wantsDisplay: boolean;
}

/** The part of a message that a disposition notification needs. */
export type Received = Pick<Message, "id" | "from" | "when" | "wantsDisplay">;

export interface RoomEvents {
  state: { state: ConnectionState; reason: string };
  message: Message;
  delivery: { id: string; delivery: Delivery; reason: string };
  progress: { id: string; octets: number; total: number };
  roster: Roster;
  typing: readonly string[];
}

/** A text of ours that the room has not answered. */
export interface Unsent {
  readonly id: string;
  readonly text: string;
  /** ISO 8601. */
  readonly when: string;
  readonly privateTo?: string;
}

/** What outlives a page that is loaded again. */
export interface Saved {
  readonly dialog?: DialogId;
  readonly seen: readonly string[];
  /** Private messages that were not displayed yet, with their addressees. */
  readonly addressees?: readonly (readonly [id: string, uri: string])[];
  readonly unsent?: readonly Unsent[];
}

export interface RoomOptions {
  /** `sip:lobby@example.com`. */
  readonly room: string;
  /** Our own address, `sip:alice@example.com`. */
  readonly user: string;
  readonly name?: string;
  readonly signalling: Signalling;
  /** Where MSRP is connected to, if it is not what the room says: behind a web server. */
  readonly msrpUrl?: string;
  /** Whether our URI is `msrps:`. Follows `msrpUrl`, or this page. */
  readonly secure?: boolean;
  readonly maxSize?: number;
  readonly saved?: Saved;
  readonly save?: (saved: Saved) => void;
}

interface Pending {
  readonly message: Message;
  readonly content: Content;
  /** A session has taken it up. */
  underWay: boolean;
  /** An open connection has left it without an answer before. */
  unanswered: boolean;
}

export class Room extends Emitter<RoomEvents> {
  readonly roster = new Roster();
  readonly #options: RoomOptions;
  readonly #host = `${randomId(8)}.invalid`;
  readonly #composing: ComposingSender;
  readonly #typing: ComposingReceiver;
  readonly #pending = new Map<string, Pending>();
  readonly #seen: Set<string>;
  /** Private messages of ours that were not displayed yet, with their addressees. */
  readonly #addressees: Map<string, string>;
  #state: ConnectionState = "connecting";
  #dialog: DialogId | undefined;
  #call: Call | undefined;
  #session: Session | undefined;
  #subscription: Subscription | undefined;
  #remote: Remote | undefined;
  #localUri = "";
  #version = 0;
  #nickname: string | undefined;
  #joinedAt = 0;
  /** Time of the last bind, in ms. */
  #boundAt = 0;
  /** We have been here before, and what we missed comes now. */
  #comesBack = false;
  /** What the room has kept is still coming. */
  #catchingUp = false;
  #last: string | undefined;
  #attempts = 0;
  #attempting = false;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #subscribeAttempts = 0;
  #subscribeRetry: ReturnType<typeof setTimeout> | undefined;
  /** Runs while the room's history is coming. */
  #sayAgain: ReturnType<typeof setTimeout> | undefined;

  constructor(options: RoomOptions) {
    super();
    this.#options = options;
    this.#dialog = options.saved?.dialog;
    this.#seen = new Set(options.saved?.seen);
    this.#addressees = new Map(options.saved?.addressees);
    this.#composing = new ComposingSender((state) => this.#tellComposing(state));
    this.#typing = new ComposingReceiver((users) => this.emit("typing", users));
    for (const unsent of options.saved?.unsent ?? []) {
      const { id, text, when, privateTo } = unsent;
      this.#queue(this.#ownMessage(id, encode(text), TEXT, privateTo, new Date(when)));
      // The room may have it: its history is looked through first.
      this.#comesBack = true;
    }
  }

  /** Messages of ours that wait for an answer of the room. */
  get unsent(): Message[] {
    return Array.from(this.#pending.values(), (pending) => pending.message);
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** What the room lets us do, once it has said so. */
  get features(): { nicknames: boolean; privateMessages: boolean } {
    return {
      nicknames: this.#remote?.nicknames ?? false,
      privateMessages: this.#remote?.privateMessages ?? false,
    };
  }

  /** Joins, and comes back whenever the connection was lost. */
  join(): void {
    this.#become("connecting", "");
    this.#options.signalling.start({
      connected: () => this.#signallingIsBack(),
      disconnected: () => this.#signallingIsLost(),
    });
  }

  /** Leaves for good. A call under way is ended as soon as it is answered. */
  leave(): void {
    this.#end("");
    if (!this.#attempting) this.#options.signalling.stop();
  }

  /** The network is there again: does not wait for the next attempt. */
  retryNow(): void {
    this.#attempts = 0;
    if (this.#state === "online") this.#session?.check(5_000);
    else void this.#attempt();
  }

  /** Says a text, to everybody or to one; the message as it is shown. */
  say(text: string, privateTo?: string): Message {
    this.#composing.sent();
    return this.#say(encode(text), TEXT, privateTo);
  }

  /** Sends a file or picture. */
  sendFile(contentType: string, body: Uint8Array, privateTo?: string): Message {
    return this.#say(body, contentType, privateTo);
  }

  /** A key was pressed; `empty`: nothing is left to be sent. */
  typed(empty: boolean): void {
    if (empty) this.#composing.stopped();
    else this.#composing.typed();
  }

  /** Somebody has read a message (RFC 5438). */
  shown(message: Received): void {
    if (message.wantsDisplay) this.#notify(message, "displayed");
  }

  /** @throws MsrpError with 425 when it is taken, 403 when the room has none. */
  async nickname(name: string): Promise<void> {
    if (this.#session === undefined) throw new MsrpError(0, "not connected");
    await this.#session.nickname(name);
    this.#nickname = name === "" ? undefined : name;
  }

  // Joining

  #signallingIsBack(): void {
    if (this.#state === "left") return;
    if (this.#state !== "online" || this.#call === undefined) {
      this.#attempts = 0;
      void this.#attempt();
      return;
    }
    // The conversation has gone on; only where requests are sent to is another.
    const call = this.#call;
    call.refresh(this.#description()).then(
      () => this.#subscribe(),
      () => {
        if (this.#call === call) this.#reconnect("the call was lost");
      },
    );
  }

  #signallingIsLost(): void {
    this.#subscription = undefined;
    if (this.#state === "connecting") this.#become("connecting", "the server cannot be reached");
  }

  async #attempt(): Promise<void> {
    clearTimeout(this.#retry);
    const { signalling } = this.#options;
    if (this.#attempting || this.#state === "left" || this.#state === "online") return;
    if (!signalling.isConnected) return;
    this.#attempting = true;
    try {
      await this.#callRoom();
      this.#attempts = 0;
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#attempting = false;
      if (this.#isLeft()) signalling.stop();
    }
  }

  /** The state may have changed during an `await`. */
  #isLeft(): boolean {
    return this.#state === "left";
  }

  async #callRoom(): Promise<void> {
    const { room, signalling } = this.#options;
    this.#newLocalUri();
    // The device that was here before is this one (RFC 3891): nobody sees both.
    const dialog = this.#dialog;
    const headers =
      dialog === undefined
        ? []
        : [`Replaces: ${dialog.callId};to-tag=${dialog.remoteTag};from-tag=${dialog.localTag}`];
    const began = Date.now();
    const call: Call = await signalling.call(room, this.#description(), headers, {
      ended: (reason) => this.#ended(call, reason),
      offered: (sdp) => this.#offered(sdp),
    });
    if (this.#isLeft()) {
      call.bye();
      return;
    }
    this.#call = call;
    this.#dialog = call.id;
    this.#save();
    const remote = parseDescription(call.answer);
    if (remote === undefined) throw new SipError(488, "the room's description has no MSRP");
    this.#joinedAt = began;
    await this.#connect(remote);
    if (!this.#isLeft()) this.#subscribe();
  }

  /** Opens the session that a description of the room names. */
  async #connect(remote: Remote): Promise<void> {
    this.#remote = remote;
    const localPath = [this.#localUri];
    const url = this.#options.msrpUrl ?? socketUrl(remote.path[0] ?? "");
    if (url === undefined) throw new SipError(488, "the room's path is none");
    const socket = await openSocket(url, OPEN_MS);
    if (this.#isLeft()) {
      socket.close();
      return;
    }
    const session = new Session({
      socket,
      localPath,
      remotePath: remote.path,
      maxSize: this.#options.maxSize ?? MAX_SIZE,
      acceptTypes: [CPIM_TYPE],
    });
    const before = this.#session;
    this.#session = session;
    before?.close();
    session.on("message", (content) => this.#take(content));
    session.on("closed", () => {
      if (this.#session === session && this.#state === "online") {
        this.#reconnect("the connection was lost");
      }
    });
    await session.bind();
    if (this.#isLeft()) return;
    this.#become("online", "");
    if (this.#nickname !== undefined) session.nickname(this.#nickname).catch(() => undefined);
    this.#catchingUp = true;
    this.#boundAt = Date.now();
    this.#last = undefined;
    this.#awaitHistory();
  }

  /** Waits for the next message of the history. */
  #awaitHistory(): void {
    clearTimeout(this.#sayAgain);
    const left = this.#boundAt + LONGEST_HISTORY_MS - Date.now();
    this.#sayAgain = setTimeout(() => {
      this.#catchingUp = false;
      this.#comesBack = true;
      this.#sendPending();
    }, Math.min(HISTORY_MS, left));
  }

  #subscribe(): void {
    clearTimeout(this.#subscribeRetry);
    this.#subscription?.end();
    this.roster.reset();
    const subscription = this.#options.signalling.subscribe(this.#options.room, {
      document: (body) => {
        if (this.#subscription !== subscription) return;
        this.#subscribeAttempts = 0;
        const taken = this.roster.take(body);
        if (taken === "changed") this.emit("roster", this.roster);
        // RFC 4575 §4.4: what is missing is asked for.
        if (taken === "gap") this.#subscribe();
      },
      ended: () => {
        if (this.#subscription !== subscription) return;
        this.#subscription = undefined;
        if (this.#state !== "online") return;
        const pause = backOff(this.#subscribeAttempts, LAST_SUBSCRIBE_PAUSE_MS);
        this.#subscribeAttempts += 1;
        this.#subscribeRetry = setTimeout(() => this.#subscribeAgain(), pause);
      },
    });
    this.#subscription = subscription;
  }

  #unsubscribe(): void {
    clearTimeout(this.#subscribeRetry);
    this.#subscribeAttempts = 0;
    const subscription = this.#subscription;
    this.#subscription = undefined;
    subscription?.end();
  }

  #subscribeAgain(): void {
    const { signalling } = this.#options;
    if (this.#state === "online" && signalling.isConnected && this.#subscription === undefined) {
      this.#subscribe();
    }
  }

  #failed(error: unknown): void {
    if (this.#state === "left") return;
    const session = this.#session;
    this.#session = undefined;
    session?.close();
    if (error instanceof SipError) {
      if (error.status === 481 && this.#dialog !== undefined) {
        // The room no longer knows who was here.
        this.#dialog = undefined;
        this.#attempts = 0;
      } else if (FINAL.has(error.status)) {
        this.#end(error.reason);
        return;
      }
    }
    const reason = error instanceof SipError ? error.reason : String((error as Error).message);
    this.#become(this.#state === "connecting" ? "connecting" : "reconnecting", reason);
    const pause = backOff(this.#attempts, LAST_PAUSE_MS);
    this.#attempts += 1;
    this.#retry = setTimeout(() => void this.#attempt(), pause);
  }

  #reconnect(reason: string): void {
    if (this.#isLeft()) return;
    const session = this.#session;
    this.#session = undefined;
    session?.close();
    this.#unsubscribe();
    this.#typing.clear();
    for (const pending of this.#pending.values()) pending.underWay = false;
    this.#become("reconnecting", reason);
    void this.#attempt();
  }

  /** The room has ended the call. */
  #ended(call: Call, reason: string): void {
    if (this.#call !== call) return;
    this.#call = undefined;
    this.#dialog = undefined;
    this.#save();
    const text = /text="([^"]*)"/.exec(reason)?.[1] ?? reason;
    if (this.#state === "online") this.#end(text === "" ? "the room has ended the call" : text);
  }

  /** The room describes itself anew: after a restart it is at another place. */
  #offered(sdp: string): string | undefined {
    const remote = parseDescription(sdp);
    if (remote === undefined) return undefined;
    if (remote.path.join(" ") === this.#remote?.path.join(" ") && this.#session?.isOpen) {
      return this.#description();
    }
    this.#newLocalUri();
    this.#connect(remote).catch(() => this.#reconnect("the connection was lost"));
    return this.#description();
  }

  #end(reason: string): void {
    clearTimeout(this.#retry);
    clearTimeout(this.#sayAgain);
    const session = this.#session;
    this.#session = undefined;
    this.#unsubscribe();
    this.#call?.bye();
    this.#call = undefined;
    this.#dialog = undefined;
    this.#typing.clear();
    this.#pending.clear();
    this.#save();
    this.#become("left", reason);
    session?.close();
  }

  #become(state: ConnectionState, reason: string): void {
    this.#state = state;
    this.emit("state", { state, reason });
  }

  #newLocalUri(): void {
    const { msrpUrl, secure } = this.#options;
    const tls = secure ?? msrpUrl?.startsWith("wss:") ?? false;
    this.#localUri = localUri(this.#host, randomId(16), tls);
    this.#version += 1;
  }

  #description(): string {
    return writeDescription({
      uri: this.#localUri,
      maxSize: this.#options.maxSize ?? MAX_SIZE,
      acceptTypes: [CPIM_TYPE],
      version: this.#version,
    });
  }

  #save(): void {
    this.#options.save?.({
      ...(this.#dialog === undefined ? {} : { dialog: this.#dialog }),
      // What nobody has answered is taken from the history when it is there.
      seen: Array.from(this.#seen).filter((id) => !this.#pending.has(id)),
      addressees: [...this.#addressees],
      unsent: this.#unsentTexts(),
    });
  }

  #unsentTexts(): Unsent[] {
    let octets = 0;
    return this.unsent.flatMap(({ id, body, contentType, text, when, privateTo }) => {
      if (contentType !== TEXT || octets + body.length > SAVED_OCTETS) return [];
      octets += body.length;
      const to = privateTo === undefined ? {} : { privateTo };
      return [{ id, text, when: when.toISOString(), ...to }];
    });
  }

  // Messages

  #say(body: Uint8Array, contentType: string, privateTo: string | undefined): Message {
    const message = this.#ownMessage(randomId(12), body, contentType, privateTo, new Date());
    this.#queue(message);
    this.#save();
    queueMicrotask(() => this.#sendPending());
    return message;
  }

  #ownMessage(
    id: string,
    body: Uint8Array,
    contentType: string,
    privateTo: string | undefined,
    when: Date,
  ): Message {
    return {
      id,
      from: this.#options.user,
      name: this.#options.name ?? "",
      contentType,
      body,
      text: mediaType(contentType).startsWith("text/") ? decode(body) : "",
      when,
      ...(privateTo === undefined ? {} : { privateTo }),
      own: true,
      history: false,
      wantsDisplay: false,
    };
  }

  #queue(message: Message): void {
    const { id, body, contentType, privateTo, when } = message;
    const headers: CpimHeader[] = [{ namespace: IMDN, name: "Message-ID", value: id }];
    if (privateTo !== undefined) {
      const value = "positive-delivery, display";
      headers.push({ namespace: IMDN, name: "Disposition-Notification", value });
      this.#addressees.set(id, bare(privateTo));
      const [oldest] = this.#addressees.keys();
      if (this.#addressees.size > ADDRESSEES && oldest !== undefined) this.#addressees.delete(oldest);
    }
    const content = this.#wrap(body, contentType, privateTo, headers, when, id);
    this.#pending.set(id, { message, content, underWay: false, unanswered: false });
    this.#remember(id);
  }

  #wrap(
    body: Uint8Array,
    contentType: string,
    to: string | undefined,
    headers: readonly CpimHeader[],
    dateTime: Date,
    messageId: string,
  ): Content {
    const { room, user, name } = this.#options;
    const cpim: Cpim = {
      from: { uri: user, ...(name === undefined ? {} : { name }) },
      to: { uri: to ?? room },
      dateTime,
      headers,
      contentType,
      body,
    };
    return { messageId, contentType: CPIM_TYPE, body: writeCpim(cpim) };
  }

  #sendPending(): void {
    const session = this.#session;
    if (session === undefined || this.#state !== "online") return;
    if (this.#comesBack && this.#catchingUp) return;
    for (const [id, pending] of this.#pending) {
      if (pending.underWay) continue;
      pending.underWay = true;
      const total = pending.content.body.length;
      const progress = (octets: number): void => this.emit("progress", { id, octets, total });
      session.send(pending.content, progress).then(
        () => this.#settled(id, "sent", ""),
        (error: unknown) => this.#notSent(session, id, pending, error),
      );
    }
  }

  #notSent(session: Session, id: string, pending: Pending, error: unknown): void {
    const refused = error instanceof MsrpError && error.status !== 0;
    if (refused || (session.isOpen && pending.unanswered)) {
      const reason = error instanceof MsrpError ? error.comment || String(error.status) : "";
      this.#settled(id, "failed", reason);
      return;
    }
    // Without an answer nobody knows: it is said again when the history has been seen.
    if (!session.isOpen) return;
    pending.unanswered = true;
    session.close();
  }

  /** The room has answered; a disposition that came before says more than that. */
  #settled(id: string, delivery: "sent" | "failed", reason: string): void {
    if (!this.#pending.delete(id)) return;
    this.emit("delivery", { id, delivery, reason });
    this.#save();
  }

  #takeDisposition(cpim: Cpim): void {
    const notification = parseNotification(decode(cpim.body));
    if (notification === undefined) return;
    const { messageId: id, disposition } = notification;
    if (this.#addressees.get(id) !== bare(cpim.from.uri)) return;
    // Nothing is said after that, by another device of theirs.
    if (disposition === "displayed") this.#addressees.delete(id);
    this.#pending.delete(id);
    this.emit("delivery", { id, delivery: disposition, reason: "" });
    this.#save();
  }

  #take(content: Content): void {
    let cpim: Cpim;
    try {
      cpim = parseCpim(content.body);
    } catch {
      return;
    }
    const type = mediaType(cpim.contentType);
    if (type === COMPOSING) {
      const state = parseComposing(decode(cpim.body));
      if (state !== undefined && cpim.from.uri !== this.#options.user) {
        this.#typing.take(cpim.from.uri, state);
      }
    } else if (type === IMDN_TYPE) {
      this.#takeDisposition(cpim);
    } else {
      this.#takeMessage(cpim, type);
    }
  }

  #takeMessage(cpim: Cpim, type: string): void {
    const when = cpim.dateTime ?? new Date();
    const own = cpim.from.uri === this.#options.user;
    const id =
      cpimHeader(cpim, IMDN, "Message-ID") ??
      `${cpim.from.uri} ${cpim.dateTime?.toISOString() ?? randomId(8)} ${decode(cpim.body.subarray(0, 256))}`;
    // What is said now does not prolong the wait.
    if (this.#catchingUp && when.getTime() < this.#boundAt) this.#awaitHistory();
    if (own) this.#settled(id, "sent", "");
    const after = this.#last;
    this.#last = id;
    if (this.#seen.has(id)) return;
    this.#remember(id);
    this.#save();
    this.#typing.forget(cpim.from.uri);
    const isPrivate = bare(cpim.to.uri) !== bare(this.#options.room);
    const wanted = cpimHeader(cpim, IMDN, "Disposition-Notification") ?? "";
    const isOld = this.#comesBack || when.getTime() < this.#joinedAt - SKEW_MS;
    const history = this.#catchingUp && isOld;
    const message: Message = {
      id,
      from: cpim.from.uri,
      name: cpim.from.name ?? "",
      contentType: cpim.contentType,
      body: cpim.body,
      text: type.startsWith("text/") ? decode(cpim.body) : "",
      when,
      ...(isPrivate ? { privateTo: cpim.to.uri } : {}),
      own,
      history,
      ...(history && after !== undefined ? { after } : {}),
      wantsDisplay: !own && wanted.includes("display"),
    };
    if (!own && wanted.includes("positive-delivery")) this.#notify(message, "delivered");
    this.emit("message", message);
  }

  #notify(message: Received, disposition: Disposition): void {
    const dateTime = message.when.toISOString();
    const document = writeNotification({ messageId: message.id, dateTime, disposition });
    this.#sendUnshown(encode(document), IMDN_TYPE, message.from);
  }

  #tellComposing(state: Composing): void {
    this.#sendUnshown(encode(writeComposing(state)), COMPOSING, undefined);
  }

  /** What nobody reads, and nobody misses when it is lost. */
  #sendUnshown(body: Uint8Array, contentType: string, to: string | undefined): void {
    const id = randomId(12);
    const headers = [{ namespace: IMDN, name: "Message-ID", value: id }];
    const content = this.#wrap(body, contentType, to, headers, new Date(), id);
    if (this.#state === "online") this.#session?.send(content).catch(() => undefined);
  }

  #remember(id: string): void {
    this.#seen.add(id);
    const [oldest] = this.#seen;
    if (this.#seen.size > REMEMBERED && oldest !== undefined) this.#seen.delete(oldest);
  }
}

/** A pause before the next attempt, in ms: doubled to `longest`, and different in every page. */
function backOff(attempts: number, longest: number): number {
  return Math.min(FIRST_PAUSE_MS * 2 ** attempts, longest) * (0.5 + Math.random());
}

/** An address without what may be written in several ways: scheme, port, parameters. */
function bare(uri: string): string {
  return uri
    .replace(/^sips?:/i, "")
    .replace(/[;?].*$/, "")
    .replace(/:\d+$/, "")
    .toLowerCase();
}
