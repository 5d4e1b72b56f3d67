/** Where the page finds its room: `config.json` beside it, and its own address. */

export interface Config {
  /** The proxy's WebSocket for SIP. */
  readonly sip: string;
  /** The rooms' WebSocket for MSRP, where it is not the one that the room names. */
  readonly msrp?: string;
  /** Of addresses: `sip:alice@DOMAIN`. */
  readonly domain: string;
  /** The room that stands in the form at first. */
  readonly room: string;
}

export async function loadConfig(): Promise<Config> {
  const own = location.protocol === "https:" ? "wss:" : "ws:";
  let file: Partial<Record<keyof Config, string>> = {};
  try {
    const response = await fetch("config.json", { cache: "no-store" });
    if (response.ok) file = (await response.json()) as typeof file;
  } catch {
    // Without the file the defaults hold.
  }
  const query = new URLSearchParams(location.search);
  return {
    sip: file.sip ?? `${own}//${location.host}/sip`,
    ...(file.msrp === undefined ? {} : { msrp: file.msrp }),
    domain: file.domain ?? location.hostname,
    room: query.get("room") ?? file.room ?? "lobby",
  };
}

/** The address of a room or a person: what was written, or that in our domain. */
export function address(written: string, domain: string): string {
  const text = written.trim();
  if (/^sips?:/i.test(text)) return text;
  if (/^[^\s@]+@[^\s@]+$/.test(text)) return `sip:${text}`;
  const user = text
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[^a-z0-9._+-]+/g, "-")
    .replace(/^-+|-+$/g, "");
  return `sip:${user === "" ? "guest" : user}@${domain}`;
}
