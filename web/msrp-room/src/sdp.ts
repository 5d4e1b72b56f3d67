/** Offer and answer for one MSRP stream (RFC 4975 §8, RFC 7977 §5.2, RFC 7701 §8). */

export interface Local {
  /** Our MSRP URI. */
  readonly uri: string;
  readonly maxSize: number;
  readonly acceptTypes: readonly string[];
  /** Of the `o=` line. */
  readonly version: number;
}

export interface Remote {
  readonly path: readonly string[];
  readonly maxSize: number | undefined;
  readonly nicknames: boolean;
  readonly privateMessages: boolean;
}

/** A name that nobody resolves, as browsers have no address (RFC 7118 §5). */
export function localUri(host: string, session: string, secure: boolean): string {
  return `${secure ? "msrps" : "msrp"}://${host}:9/${session};ws`;
}

export function writeDescription(local: Local): string {
  const host = /:\/\/([^:/]+)/.exec(local.uri)?.[1] ?? "anonymous.invalid";
  const protocol = local.uri.startsWith("msrps:") ? "TCP/TLS/MSRP" : "TCP/MSRP";
  return [
    "v=0",
    `o=- 1 ${local.version} IN IP4 ${host}`,
    "s=-",
    `c=IN IP4 ${host}`,
    "t=0 0",
    `m=message 9 ${protocol} *`,
    `a=accept-types:${local.acceptTypes.join(" ")}`,
    "a=accept-wrapped-types:*",
    `a=path:${local.uri}`,
    "a=setup:active",
    "a=chatroom:nickname private-messages",
    `a=max-size:${local.maxSize}`,
    "",
  ].join("\r\n");
}

/** What the room's description says; `undefined`: there is no stream to use. */
export function parseDescription(sdp: string): Remote | undefined {
  const [, ...streams] = sdp.split(/^m=/m);
  const stream = streams.find((it) => /^message (?!0 )\d+ TCP\/(TLS\/)?MSRP/.test(it));
  const value = (name: string): string | undefined =>
    new RegExp(`^a=${name}:(.*?)\\r?$`, "m").exec(stream ?? "")?.[1]?.trim();
  const path = value("path")?.split(/\s+/).filter((uri) => uri !== "") ?? [];
  if (path.length === 0) return undefined;
  const tokens = value("chatroom")?.split(/\s+/) ?? [];
  const maxSize = Number(value("max-size"));
  return {
    path,
    maxSize: maxSize > 0 ? maxSize : undefined,
    nicknames: tokens.includes("nickname"),
    privateMessages: tokens.includes("private-messages"),
  };
}

/** Where a URI of MSRP over WebSocket is connected to. */
export function socketUrl(uri: string): string | undefined {
  const parts = /^(msrps?):\/\/(?:[^@/]*@)?(\[[^\]]+\]|[^:/;]+)(?::(\d+))?/i.exec(uri);
  if (parts === null) return undefined;
  const scheme = parts[1]?.toLowerCase() === "msrps" ? "wss" : "ws";
  return `${scheme}://${parts[2]}${parts[3] === undefined ? "" : `:${parts[3]}`}/`;
}
