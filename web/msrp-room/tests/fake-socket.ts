/** A WebSocket without a network: what is sent goes to `server`, which answers or does not. */

import { type Chunk, parseChunk, writeChunk } from "../src/chunk.js";

type Listener = (event: never) => void;

export class FakeSocket {
  binaryType = "blob";
  bufferedAmount = 0;
  readonly sent: Chunk[] = [];
  readonly #listeners = new Map<string, Listener[]>();
  #open = true;

  constructor(private readonly server: (chunk: Chunk, socket: FakeSocket) => void) {}

  addEventListener(name: string, listener: Listener): void {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener]);
  }

  send(octets: Uint8Array): void {
    if (!this.#open) throw new Error("closed");
    const chunk = parseChunk(octets);
    this.sent.push(chunk);
    queueMicrotask(() => this.#open && this.server(chunk, this));
  }

  /** The other side writes. */
  receive(chunk: Chunk): void {
    const octets = writeChunk(chunk);
    this.#fire("message", { data: octets.slice().buffer });
  }

  respond(request: Chunk, status: number, comment = ""): void {
    this.receive({
      transaction: request.transaction,
      status,
      comment,
      toPath: request.fromPath,
      fromPath: request.toPath,
      headers: [],
      flag: "$",
    });
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#fire("close", { wasClean: false });
  }

  get isOpen(): boolean {
    return this.#open;
  }

  get requests(): Chunk[] {
    return this.sent.filter((chunk) => chunk.method !== undefined);
  }

  get responses(): Chunk[] {
    return this.sent.filter((chunk) => chunk.status !== undefined);
  }

  #fire(name: string, event: object): void {
    for (const listener of this.#listeners.get(name) ?? []) listener(event as never);
  }
}

/** Everything is fine. */
export function agree(chunk: Chunk, socket: FakeSocket): void {
  if (chunk.method === "SEND" || chunk.method === "NICKNAME") socket.respond(chunk, 200, "OK");
}

/** Lets everything happen that is due. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 200; turn += 1) await Promise.resolve();
}
