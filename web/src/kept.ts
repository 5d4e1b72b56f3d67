/** What a page that is loaded again goes on with. It is gone with the tab. */

import type { Message, Saved } from "@msrp-conference/msrp-room";

import { size } from "./view.js";

/** Messages that are kept. */
const KEPT = 200;
/** The largest text that is kept, in octets. */
const LARGEST = 16 * 1024;

export interface Entry {
  readonly name: string;
  readonly room: string;
  /** They have a password, which is not kept. */
  readonly account: boolean;
}

/** A message as it is kept: text alone. */
export interface KeptMessage extends Omit<Message, "body" | "when"> {
  readonly when: string;
  /** Why it was not delivered. */
  readonly failed?: string;
}

/** Files and long texts are kept as a line that names them. */
export function keepable(message: Message): KeptMessage {
  const { body, when, ...rest } = message;
  const [type = ""] = message.contentType.toLowerCase().split(";");
  const isKept = type === "text/plain" && body.length <= LARGEST;
  const line = `${type}, ${size(body.length)} (not kept when the page was loaded again)`;
  return {
    ...rest,
    ...(isKept ? {} : { contentType: "text/plain", text: line }),
    when: when.toISOString(),
  };
}

export const kept = {
  get entry(): Entry | undefined {
    return read<Entry>("entry");
  },
  set entry(entry: Entry | undefined) {
    write("entry", entry);
  },
  get session(): Saved | undefined {
    return read<Saved>("session");
  },
  /** Messages make room for it. */
  set session(session: Saved | undefined) {
    let messages = this.messages;
    while (!write("session", session) && messages.length > 0) {
      messages = newerHalf(messages);
      write("messages", messages);
    }
  },
  get messages(): readonly KeptMessage[] {
    return read<KeptMessage[]>("messages") ?? [];
  },
  /** The newest that fit. */
  set messages(messages: readonly KeptMessage[]) {
    let rest = messages.slice(-KEPT);
    while (!write("messages", rest) && rest.length > 0) rest = newerHalf(rest);
  },
  /** The one to whom texts go in private. */
  get privateTo(): string | undefined {
    return read<string>("privateTo");
  },
  set privateTo(uri: string | undefined) {
    write("privateTo", uri);
  },
  /** Why the room was left. */
  get reason(): string | undefined {
    return read<string>("reason");
  },
  set reason(reason: string | undefined) {
    write("reason", reason);
  },
  clear(): void {
    try {
      sessionStorage.clear();
    } catch {
      // Where storage is forbidden nothing is kept.
    }
  },
};

function newerHalf(messages: readonly KeptMessage[]): KeptMessage[] {
  return messages.slice(Math.ceil(messages.length / 2));
}

function read<Value>(name: string): Value | undefined {
  try {
    const text = sessionStorage.getItem(name);
    return text === null ? undefined : (JSON.parse(text) as Value);
  } catch {
    return undefined;
  }
}

/** Whether it went in: storage may be full, or forbidden. */
function write(name: string, value: unknown): boolean {
  try {
    if (value === undefined) sessionStorage.removeItem(name);
    else sessionStorage.setItem(name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}
