/** One MSRP session over a WebSocket of its own (RFC 4975, RFC 7977). */

import {
  type ByteRange,
  type Chunk,
  type Header,
  header,
  parseByteRange,
  parseChunk,
  writeChunk,
} from "./chunk.js";
import { mediaType } from "./cpim.js";
import { Emitter } from "./events.js";
import { concat, encode, randomId } from "./octets.js";

/** The sub-protocol (RFC 7977 §4.1). */
export const SUBPROTOCOL = "msrp";
/** Octets of a chunk's body. */
const CHUNK_OCTETS = 60 * 1024;
/** Chunks of one message on the way without an answer. */
const WINDOW = 8;
/** Octets that may wait in the WebSocket before the next chunk. */
const BUFFERED = 512 * 1024;
const BUFFER_CHECK_MS = 20;
/** RFC 4975 §7.1.1. */
const ANSWER_MS = 30_000;
/** An empty SEND so often keeps what stands between us open (RFC 7977 §6)… */
const KEEPALIVE_MS = 30_000;
/** …and silence for so long after it means that the network is gone. */
const KEEPALIVE_ANSWER_MS = 10_000;
/** Messages of which some has come, at a time. */
const MAX_UNFINISHED = 64;

/** A refusal, or no answer at all. */
export class MsrpError extends Error {
  constructor(
    /** 0: there was no answer. */
    readonly status: number,
    readonly comment: string,
  ) {
    super(status === 0 ? comment : `${status} ${comment}`);
  }
}

/** What is sent or was received. */
export interface Content {
  readonly messageId: string;
  readonly contentType: string;
  readonly body: Uint8Array;
}

export interface SessionOptions {
  readonly socket: WebSocket;
  /** Our own URI and the room's. */
  readonly localPath: readonly string[];
  readonly remotePath: readonly string[];
  /** The largest message taken, octets; `a=max-size`. */
  readonly maxSize: number;
  /** Media types taken; `a=accept-types`. */
  readonly acceptTypes: readonly string[];
}

export interface SessionEvents {
  message: Content;
  /** Messages larger than one chunk, as they grow. */
  progress: { messageId: string; received: number; total: number | undefined };
  closed: { clean: boolean };
}

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: MsrpError) => void;
  /** Position among the requests of this session. */
  readonly number: number;
  readonly hasBody: boolean;
  /** Milliseconds until the request fails. */
  readonly patience: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

interface Unfinished {
  readonly parts: Uint8Array[];
  octets: number;
}

export class Session extends Emitter<SessionEvents> {
  readonly #options: SessionOptions;
  readonly #waiting = new Map<string, Waiting>();
  readonly #unfinished = new Map<string, Unfinished>();
  #keepalive: ReturnType<typeof setInterval> | undefined;
  #open = true;
  #requests = 0;
  /** Time of the last chunk received, in ms. */
  #heardAt = Date.now();

  constructor(options: SessionOptions) {
    super();
    this.#options = options;
    const { socket } = options;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", (event: MessageEvent<unknown>) => this.#receive(event.data));
    socket.addEventListener("close", (event) => this.#closed(event.wasClean));
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** The first request binds the connection to the session (RFC 4975 §5.4). */
  async bind(): Promise<void> {
    await this.probe(ANSWER_MS);
    this.#keepalive = setInterval(() => this.check(KEEPALIVE_ANSWER_MS), KEEPALIVE_MS);
  }

  /**
   * Sends a probe, and closes the connection if nothing at all is received for `patience` ms. The
   * answer to the probe itself may wait behind the chunks of an upload.
   */
  check(patience: number): void {
    this.probe(patience).catch(() => {
      if (Date.now() - this.#heardAt >= patience) this.close();
    });
  }

  /** An empty SEND; answered by whoever is there. */
  probe(patience: number): Promise<void> {
    const headers: Header[] = [
      ["Message-ID", randomId(8)],
      ["Byte-Range", "1-0/0"],
    ];
    return this.#request("SEND", headers, undefined, "$", patience);
  }

  /** Sends a message, in chunks if it is large; resolves when the room has taken all of it. */
  async send(content: Content, progress?: (octets: number) => void): Promise<void> {
    const { body } = content;
    const underWay = new Set<Promise<void>>();
    let failure: unknown;
    let at = 0;
    do {
      await this.#drained();
      const end = Math.min(at + CHUNK_OCTETS, body.length);
      const range = `${at + 1}-${end}/${body.length}`;
      const headers: Header[] = [
        ["Message-ID", content.messageId],
        ["Byte-Range", range],
        ["Content-Type", content.contentType],
      ];
      const last = end === body.length;
      const answer: Promise<void> = this.#request(
        "SEND",
        headers,
        body.subarray(at, end),
        last ? "$" : "+",
        ANSWER_MS,
      )
        .then(() => progress?.(end))
        .catch((error: unknown) => void (failure ??= error))
        .finally(() => underWay.delete(answer));
      underWay.add(answer);
      at = end;
      if (underWay.size >= WINDOW) await Promise.race(underWay);
      // What was refused is not sent on.
    } while (at < body.length && failure === undefined);
    await Promise.all(underWay);
    if (failure !== undefined) throw failure;
  }

  /** Asks for a nickname; the empty one gives it back (RFC 7701 §7). */
  nickname(name: string): Promise<void> {
    const quoted = name.replace(/(["\\])/g, "\\$1");
    return this.#request("NICKNAME", [["Use-Nickname", `"${quoted}"`]], undefined, "$", ANSWER_MS);
  }

  close(): void {
    this.#options.socket.close();
    this.#closed(false);
  }

  #request(
    method: string,
    headers: readonly Header[],
    body: Uint8Array | undefined,
    flag: "$" | "+",
    patience: number,
  ): Promise<void> {
    const transaction = randomId(8);
    return new Promise((resolve, reject) => {
      if (!this.#open) {
        reject(new MsrpError(0, "the connection is closed"));
        return;
      }
      const number = this.#requests++;
      const hasBody = body !== undefined;
      const waiting: Waiting = { resolve, reject, number, hasBody, patience, timer: undefined };
      this.#waiting.set(transaction, waiting);
      this.#arm(transaction, waiting);
      this.#write({
        transaction,
        method,
        toPath: this.#options.remotePath,
        fromPath: this.#options.localPath,
        headers,
        ...(body === undefined ? {} : { body }),
        flag,
      });
    });
  }

  #arm(transaction: string, waiting: Waiting): void {
    clearTimeout(waiting.timer);
    waiting.timer = setTimeout(() => {
      this.#waiting.delete(transaction);
      waiting.reject(new MsrpError(0, "no answer"));
    }, waiting.patience);
  }

  async #drained(): Promise<void> {
    const { socket } = this.#options;
    while (this.#open && socket.bufferedAmount > BUFFERED) {
      await new Promise((resolve) => setTimeout(resolve, BUFFER_CHECK_MS));
    }
  }

  #write(chunk: Chunk): void {
    if (this.#open) this.#options.socket.send(writeChunk(chunk) as Uint8Array<ArrayBuffer>);
  }

  #receive(data: unknown): void {
    this.#heardAt = Date.now();
    const octets = typeof data === "string" ? encode(data) : new Uint8Array(data as ArrayBuffer);
    let chunk: Chunk;
    try {
      chunk = parseChunk(octets);
    } catch {
      // What is no MSRP leaves nothing to answer.
      this.close();
      return;
    }
    if (chunk.status !== undefined) this.#answered(chunk.transaction, chunk.status, chunk.comment);
    else if (chunk.method === "SEND") this.#receiveSend(chunk);
    else if (chunk.method !== "REPORT") this.#respond(chunk, 501);
  }

  #answered(transaction: string, status: number, comment = ""): void {
    const waiting = this.#waiting.get(transaction);
    if (waiting === undefined) return;
    this.#waiting.delete(transaction);
    clearTimeout(waiting.timer);
    // Answers come in order: what was sent after this request has only now reached its turn.
    for (const [behind, it] of this.#waiting) {
      if (it.hasBody && it.number > waiting.number) this.#arm(behind, it);
    }
    if (status === 200) waiting.resolve();
    else waiting.reject(new MsrpError(status, comment));
  }

  #receiveSend(chunk: Chunk): void {
    const own = this.#options.localPath.at(-1);
    if (chunk.toPath.at(-1) !== own) {
      this.#respond(chunk, 481);
      return;
    }
    const type = header(chunk.headers, "Content-Type");
    if (chunk.body === undefined || type === undefined) {
      this.#respond(chunk, 200);
      return;
    }
    if (!this.#options.acceptTypes.includes(mediaType(type))) {
      this.#respond(chunk, 415);
      return;
    }
    const messageId = header(chunk.headers, "Message-ID") ?? chunk.transaction;
    const range = parseByteRange(header(chunk.headers, "Byte-Range")) ?? { start: 1 };
    const whole = this.#assemble(messageId, range, chunk);
    this.#respond(chunk, whole === "too large" ? 413 : 200);
    if (!(whole instanceof Uint8Array)) return;
    if (header(chunk.headers, "Success-Report") === "yes") this.#report(chunk, messageId, whole);
    this.emit("message", { messageId, contentType: type, body: whole });
  }

  /** Chunks of a message come in order here: one connection, one sender. */
  #assemble(messageId: string, range: ByteRange, chunk: Chunk): Uint8Array | "more" | "too large" {
    const body = chunk.body ?? new Uint8Array();
    const known = this.#unfinished.get(messageId) ?? { parts: [], octets: 0 };
    // A copy that begins anew takes the place of what was left of the one before.
    if (range.start === 1) {
      known.parts.length = 0;
      known.octets = 0;
    }
    const octets = known.octets + body.length;
    if (chunk.flag === "#" || range.start !== known.octets + 1) {
      this.#unfinished.delete(messageId);
      return "more";
    }
    if (octets > this.#options.maxSize || (range.total ?? 0) > this.#options.maxSize) {
      this.#unfinished.delete(messageId);
      return "too large";
    }
    known.parts.push(body);
    known.octets = octets;
    if (chunk.flag === "$") {
      this.#unfinished.delete(messageId);
      return concat(known.parts);
    }
    this.#unfinished.set(messageId, known);
    const [oldest] = this.#unfinished.keys();
    if (this.#unfinished.size > MAX_UNFINISHED && oldest !== undefined) {
      this.#unfinished.delete(oldest);
    }
    this.emit("progress", { messageId, received: octets, total: range.total });
    return "more";
  }

  #respond(request: Chunk, status: number): void {
    const wanted = header(request.headers, "Failure-Report") ?? "yes";
    if (wanted === "no" || (wanted === "partial" && status === 200)) return;
    // RFC 4975 §7.2: the answer to a SEND goes to the hop before.
    const hop = request.fromPath[0];
    this.#write({
      transaction: request.transaction,
      status,
      ...(status === 200 ? { comment: "OK" } : {}),
      toPath: hop === undefined ? [] : [hop],
      fromPath: this.#options.localPath,
      headers: [],
      flag: "$",
    });
  }

  /** RFC 4975 §7.1.2. */
  #report(request: Chunk, messageId: string, whole: Uint8Array): void {
    this.#write({
      transaction: randomId(8),
      method: "REPORT",
      toPath: request.fromPath,
      fromPath: this.#options.localPath,
      headers: [
        ["Message-ID", messageId],
        ["Byte-Range", `1-${whole.length}/${whole.length}`],
        ["Status", "000 200 OK"],
      ],
      flag: "$",
    });
  }

  #closed(clean: boolean): void {
    if (!this.#open) return;
    this.#open = false;
    clearInterval(this.#keepalive);
    for (const waiting of this.#waiting.values()) {
      clearTimeout(waiting.timer);
      waiting.reject(new MsrpError(0, "the connection was lost"));
    }
    this.#waiting.clear();
    this.#unfinished.clear();
    this.emit("closed", { clean });
  }
}

/** Opens the WebSocket; rejects when it does not open within `patience` ms. */
export function openSocket(url: string, patience: number): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, SUBPROTOCOL);
    const timer = setTimeout(() => {
      socket.close();
      reject(new MsrpError(0, "no connection"));
    }, patience);
    socket.addEventListener("open", () => {
      clearTimeout(timer);
      resolve(socket);
    });
    socket.addEventListener("error", () => {
      clearTimeout(timer);
      reject(new MsrpError(0, "no connection"));
    });
  });
}
