/** What a page that is loaded again goes on with. It is gone with the tab. */

import type { Message, Saved } from "@msrp-conference/msrp-room";

/** Texts that are kept. */
const KEPT = 200;

export interface Entry {
  readonly name: string;
  readonly room: string;
}

/** A message as it is kept: text alone. */
export type KeptMessage = Omit<Message, "body" | "when"> & { readonly when: string };

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
  set session(session: Saved | undefined) {
    write("session", session);
  },
  get messages(): readonly KeptMessage[] {
    return read<KeptMessage[]>("messages") ?? [];
  },
  set messages(messages: readonly KeptMessage[]) {
    write("messages", messages.slice(-KEPT));
  },
  clear(): void {
    sessionStorage.clear();
  },
};

function read<Value>(name: string): Value | undefined {
  const text = sessionStorage.getItem(name);
  if (text === null) return undefined;
  try {
    return JSON.parse(text) as Value;
  } catch {
    return undefined;
  }
}

function write(name: string, value: unknown): void {
  try {
    if (value === undefined) sessionStorage.removeItem(name);
    else sessionStorage.setItem(name, JSON.stringify(value));
  } catch {
    // Full, or forbidden: a reload begins anew then.
  }
}
