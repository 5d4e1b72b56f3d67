/** MSRP chunks (RFC 4975 §9). Over WebSocket each is one message (RFC 7977 §5.1). */

import { concat, decode, encode, indexOf } from "./octets.js";

/** How a chunk ends: the message is whole, goes on, or is given up. */
export type Flag = "$" | "+" | "#";

/** One header line. */
export type Header = readonly [name: string, value: string];

/** A request or a response. */
export interface Chunk {
  readonly transaction: string;
  /** Of a request. */
  readonly method?: string;
  /** Of a response. */
  readonly status?: number;
  readonly comment?: string;
  /** The URIs of the path, the next hop first. */
  readonly toPath: readonly string[];
  readonly fromPath: readonly string[];
  /** All but the paths, in their order. */
  readonly headers: readonly Header[];
  readonly body?: Uint8Array;
  readonly flag: Flag;
}

/** Which octets of a message a chunk has; the first is 1. */
export interface ByteRange {
  readonly start: number;
  readonly end?: number;
  readonly total?: number;
}

/** Text that is no chunk. */
export class ChunkError extends Error {}

/** Hyphens, flag and CRLF around the transaction id of an end-line. */
const END = "-------";

/** Reads one chunk that fills all of `octets`. */
export function parseChunk(octets: Uint8Array): Chunk {
  const firstEnd = indexOf(octets, "\r\n", 0);
  const first = /^MSRP ([!-~]{1,32}) (?:([A-Z]+)|(\d{3})(?: (.*))?)$/.exec(
    decode(octets.subarray(0, Math.max(firstEnd, 0))),
  );
  if (firstEnd < 0 || first === null) throw new ChunkError("no start line");
  const transaction = first[1] ?? "";
  const end = octets.length - END.length - transaction.length - 3;
  const endLine = /^-------(.*)([$+#])\r\n$/.exec(decode(octets.subarray(Math.max(end, 0))));
  if (endLine?.[1] !== transaction) throw new ChunkError("no end-line");
  const content = octets.subarray(firstEnd + 2, end);
  const blank = indexOf(content, "\r\n\r\n", 0);
  const head = blank < 0 ? content : content.subarray(0, blank);
  const headers = parseHeaders(decode(head));
  const path = (wanted: string): string[] =>
    (header(headers, wanted) ?? "").split(" ").filter((uri) => uri !== "");
  // The CRLF before the end-line is no part of the body.
  const body = blank < 0 ? undefined : content.subarray(blank + 4, content.length - 2);
  return {
    transaction,
    ...(first[2] === undefined ? {} : { method: first[2] }),
    ...(first[3] === undefined ? {} : { status: Number(first[3]) }),
    ...(first[4] === undefined ? {} : { comment: first[4] }),
    toPath: path("To-Path"),
    fromPath: path("From-Path"),
    headers: headers.filter(([name]) => !/^(to|from)-path$/i.test(name)),
    ...(body === undefined ? {} : { body }),
    flag: (endLine[2] ?? "$") as Flag,
  };
}

/** What is written on the wire. */
export function writeChunk(chunk: Chunk): Uint8Array {
  const start =
    chunk.method ?? `${chunk.status}${chunk.comment === undefined ? "" : ` ${chunk.comment}`}`;
  const lines = [
    `MSRP ${chunk.transaction} ${start}`,
    `To-Path: ${chunk.toPath.join(" ")}`,
    `From-Path: ${chunk.fromPath.join(" ")}`,
    ...chunk.headers.map(([name, value]) => `${name}: ${value.replace(/[\r\n]+/g, " ")}`),
  ];
  const head = `${lines.join("\r\n")}\r\n`;
  const end = `${END}${chunk.transaction}${chunk.flag}\r\n`;
  if (chunk.body === undefined) return encode(head + end);
  return concat([encode(`${head}\r\n`), chunk.body, encode(`\r\n${end}`)]);
}

/** The first header of this name, which is compared without case. */
export function header(headers: readonly Header[], wanted: string): string | undefined {
  const name = wanted.toLowerCase();
  return headers.find((it) => it[0].toLowerCase() === name)?.[1];
}

/** `1-25/25`, with `*` for what is not known. */
export function parseByteRange(text: string | undefined): ByteRange | undefined {
  const parts = /^(\d{1,15})-(\d{1,15}|\*)\/(\d{1,15}|\*)$/.exec(text ?? "");
  if (parts === null) return undefined;
  return {
    start: Number(parts[1]),
    ...(parts[2] === "*" ? {} : { end: Number(parts[2]) }),
    ...(parts[3] === "*" ? {} : { total: Number(parts[3]) }),
  };
}

function parseHeaders(text: string): Header[] {
  const headers: Header[] = [];
  for (const line of text.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) headers.push([line.slice(0, colon), line.slice(colon + 1).trim()]);
    else if (line !== "") throw new ChunkError("a line that is no header");
  }
  return headers;
}
