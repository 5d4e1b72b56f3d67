/** Common Presence and Instant Messaging messages (RFC 3862), as RFC 7701 has them in rooms. */

import { concat, decode, encode, indexOf } from "./octets.js";

/** `Alice <sip:alice@example.com>`. */
export interface Address {
  readonly uri: string;
  readonly name?: string;
}

/** A header of a message, with the namespace its prefix stands for. */
export interface CpimHeader {
  /** URI of the namespace; empty: CPIM's own. */
  readonly namespace: string;
  readonly name: string;
  readonly value: string;
}

export interface Cpim {
  readonly from: Address;
  readonly to: Address;
  readonly dateTime?: Date;
  readonly headers: readonly CpimHeader[];
  readonly contentType: string;
  readonly body: Uint8Array;
}

/** RFC 5438 §7. */
export const IMDN = "urn:ietf:params:imdn";

/** Text that is no message. */
export class CpimError extends Error {}

export function parseCpim(octets: Uint8Array): Cpim {
  const [head, content] = split(octets);
  const [inner, body] = split(content);
  const prefixes = new Map<string, string>();
  const headers: CpimHeader[] = [];
  let from: Address | undefined;
  let to: Address | undefined;
  let dateTime: Date | undefined;
  for (const [name, value] of lines(head)) {
    switch (name.toLowerCase()) {
      case "from":
        from = parseAddress(value);
        break;
      case "to":
        to ??= parseAddress(value);
        break;
      case "datetime":
        dateTime = parseDate(value);
        break;
      case "ns": {
        const namespace = /^([^\s<]*)\s*<([^>]*)>$/.exec(value);
        if (namespace !== null) prefixes.set(namespace[1] ?? "", namespace[2] ?? "");
        break;
      }
      default:
        headers.push(qualified(name, value, prefixes));
    }
  }
  if (from === undefined || to === undefined) throw new CpimError("From or To is missing");
  const contentType = lines(inner).find(([name]) => name.toLowerCase() === "content-type");
  return {
    from,
    to,
    ...(dateTime === undefined ? {} : { dateTime }),
    headers,
    contentType: contentType?.[1] ?? "text/plain",
    body,
  };
}

export function writeCpim(message: Cpim): Uint8Array {
  const prefixes = new Map<string, string>();
  const own = message.headers.map(({ namespace, name, value }) => {
    if (namespace === "") return `${name}: ${value}`;
    const prefix = namespace === IMDN ? "imdn" : `n${prefixes.size}`;
    if (!prefixes.has(namespace)) prefixes.set(namespace, prefix);
    return `${prefixes.get(namespace)}.${name}: ${value}`;
  });
  const head = [
    `From: ${writeAddress(message.from)}`,
    `To: ${writeAddress(message.to)}`,
    ...(message.dateTime === undefined ? [] : [`DateTime: ${message.dateTime.toISOString()}`]),
    ...Array.from(prefixes, ([namespace, prefix]) => `NS: ${prefix} <${namespace}>`),
    ...own,
    "",
    `Content-Type: ${message.contentType}`,
    "",
    "",
  ];
  return concat([encode(head.join("\r\n")), message.body]);
}

/** The value of a header of this namespace and name. */
export function cpimHeader(message: Cpim, namespace: string, name: string): string | undefined {
  return message.headers.find((it) => it.namespace === namespace && it.name === name)?.value;
}

/** `type/subtype`, in lower case, of a Content-Type. */
export function mediaType(contentType: string): string {
  return (contentType.split(";")[0] ?? "").trim().toLowerCase();
}

function split(octets: Uint8Array): [head: string, rest: Uint8Array] {
  // Some clients write bare line feeds.
  const strict = indexOf(octets, "\r\n\r\n", 0);
  const loose = indexOf(octets, "\n\n", 0);
  if (strict >= 0 && (loose < 0 || strict < loose)) {
    return [decode(octets.subarray(0, strict)), octets.subarray(strict + 4)];
  }
  if (loose >= 0) return [decode(octets.subarray(0, loose)), octets.subarray(loose + 2)];
  throw new CpimError("no empty line");
}

function lines(head: string): [string, string][] {
  return head.split(/\r?\n/).flatMap((line): [string, string][] => {
    const colon = line.indexOf(":");
    return colon > 0 ? [[line.slice(0, colon).trim(), line.slice(colon + 1).trim()]] : [];
  });
}

function qualified(name: string, value: string, prefixes: Map<string, string>): CpimHeader {
  const dot = name.indexOf(".");
  const namespace = prefixes.get(dot < 0 ? "" : name.slice(0, dot));
  if (namespace === undefined) return { namespace: "", name, value };
  return { namespace, name: name.slice(dot + 1), value };
}

function parseAddress(text: string): Address {
  const parts = /^(.*?)<([^>]*)>/.exec(text);
  if (parts === null) throw new CpimError("no address");
  const name = (parts[1] ?? "").trim().replace(/^"(.*)"$/, "$1").replace(/\\(.)/g, "$1");
  return { uri: parts[2] ?? "", ...(name === "" ? {} : { name }) };
}

function writeAddress(address: Address): string {
  const name = address.name?.replace(/[\r\n]+/g, " ").replace(/(["\\])/g, "\\$1");
  return name === undefined ? `<${address.uri}>` : `"${name}" <${address.uri}>`;
}

function parseDate(text: string): Date | undefined {
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? undefined : date;
}
