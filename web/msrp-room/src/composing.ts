/** That somebody is typing (RFC 3994). */

import { elements, parseXml, text } from "./xml.js";

const NAMESPACE = "urn:ietf:params:xml:ns:im-iscomposing";
export const COMPOSING = "application/im-iscomposing+xml";
/** Without a keystroke for so long nobody types (§3.2). */
const IDLE_MS = 15_000;
/** So often it is said again (§3.2: not more than once a minute). */
const REFRESH_S = 60;
/** What holds where nobody says how often (§3.3). */
const DEFAULT_REFRESH_S = 120;

export interface Composing {
  readonly active: boolean;
  readonly contentType?: string;
  /** Seconds until it is said again. */
  readonly refresh?: number;
}

export function writeComposing(state: Composing): string {
  const content = state.contentType === undefined ? "" : `<contenttype>${state.contentType}</contenttype>`;
  const refresh = state.refresh === undefined ? "" : `<refresh>${state.refresh}</refresh>`;
  return (
    `<?xml version="1.0" encoding="UTF-8"?>\n<isComposing xmlns="${NAMESPACE}">` +
    `<state>${state.active ? "active" : "idle"}</state>${content}${refresh}</isComposing>`
  );
}

export function parseComposing(document: string): Composing | undefined {
  const root = parseXml(document);
  if (root?.localName !== "isComposing") return undefined;
  const state = elements(root, "state")[0];
  if (state === undefined) return undefined;
  const refresh = Number(text(elements(root, "refresh")[0]));
  return {
    active: text(state) === "active",
    ...(refresh > 0 ? { refresh } : {}),
  };
}

/** Tells the others when we begin to type and when we stop. */
export class ComposingSender {
  #idle: ReturnType<typeof setTimeout> | undefined;
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly tell: (state: Composing) => void,
    private readonly now: () => number = Date.now,
  ) {}

  /** A key was pressed, and there is something to be sent. */
  typed(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.stopped(), IDLE_MS);
    if (this.now() - this.#toldAt >= REFRESH_S * 1000) {
      this.#toldAt = this.now();
      this.tell({ active: true, contentType: "text/plain", refresh: REFRESH_S });
    }
  }

  /** The text was taken away, or nothing was typed for a while. */
  stopped(): void {
    if (this.#toldAt !== Number.NEGATIVE_INFINITY) this.tell({ active: false });
    this.sent();
  }

  /** The message itself says that nobody types any more (§3.2). */
  sent(): void {
    clearTimeout(this.#idle);
    this.#toldAt = Number.NEGATIVE_INFINITY;
  }
}

/** Who is typing. */
export class ComposingReceiver {
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>();

  constructor(private readonly changed: (typing: readonly string[]) => void) {}

  /** Somebody says so. */
  take(user: string, state: Composing): void {
    clearTimeout(this.#timers.get(user));
    this.#timers.delete(user);
    if (state.active) {
      const refresh = (state.refresh ?? DEFAULT_REFRESH_S) * 1000;
      this.#timers.set(user, setTimeout(() => this.forget(user), refresh));
    }
    this.#tell();
  }

  /** A message of theirs has come, or they have gone. */
  forget(user: string): void {
    clearTimeout(this.#timers.get(user));
    if (this.#timers.delete(user)) this.#tell();
  }

  clear(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#tell();
  }

  #tell(): void {
    this.changed([...this.#timers.keys()]);
  }
}
