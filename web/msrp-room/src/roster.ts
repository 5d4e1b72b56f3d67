/** Who is in a room, as conference-info documents tell it, full and partial (RFC 4575). */

import { elements, parseXml, text } from "./xml.js";

export interface Endpoint {
  readonly entity: string;
  /** `connected`, `on-hold`, `dialing-out`, … */
  readonly status: string;
}

export interface Participant {
  /** The user's URI. */
  readonly uri: string;
  readonly display: string;
  readonly nickname: string;
  readonly roles: readonly string[];
  readonly endpoints: readonly Endpoint[];
}

/** What became of a document. */
export type Taken = "changed" | "old" | "gap" | "ended" | "malformed";

/** RFC 4575 §5.1: how far it goes with what is known. */
type State = "full" | "partial" | "deleted";

/** The state of one room, kept by one subscription. */
export class Roster {
  #version: number | undefined;
  #users = new Map<string, Element>();
  #description = new Map<string, Element>();
  #locked = false;

  /** Takes a document. After a gap a full one must be asked for (§4.4). */
  take(document: string): Taken {
    const root = parseXml(document);
    if (root?.localName !== "conference-info") return "malformed";
    const state = stateOf(root);
    const version = Number(root.getAttribute("version") ?? Number.NaN);
    if (state === "deleted") {
      this.#users.clear();
      return "ended";
    }
    if (state === "full") {
      // A full document is the truth, whatever was before.
      this.#users.clear();
      this.#description.clear();
    } else if (this.#version === undefined || Number.isNaN(version)) {
      return "gap";
    } else if (version <= this.#version) {
      return "old";
    } else if (version > this.#version + 1) {
      return "gap";
    }
    this.#version = Number.isNaN(version) ? undefined : version;
    this.#merge(root);
    return "changed";
  }

  /** Begins anew: versions count within one subscription. */
  reset(): void {
    this.#version = undefined;
  }

  get subject(): string {
    return text(this.#description.get("subject")) || text(this.#description.get("display-text"));
  }

  get locked(): boolean {
    return this.#locked;
  }

  get participants(): Participant[] {
    return Array.from(this.#users.values(), participant);
  }

  /** A participant by URI. */
  find(uri: string): Participant | undefined {
    const user = this.#users.get(uri);
    return user === undefined ? undefined : participant(user);
  }

  #merge(root: Element): void {
    for (const description of elements(root, "conference-description")) {
      for (const node of Array.from(description.childNodes)) {
        if (node.nodeType === 1) {
          const element = node as Element;
          this.#description.set(element.localName, element);
        }
      }
    }
    for (const state of elements(root, "conference-state")) {
      for (const locked of elements(state, "locked")) this.#locked = text(locked) === "true";
    }
    for (const users of elements(root, "users")) {
      if (stateOf(users) === "full") this.#users.clear();
      for (const user of elements(users, "user")) merge(this.#users, user, "endpoint");
    }
  }
}

/** Takes an element with a key into those that are known (§4.4): whole, away, or in part. */
function merge(known: Map<string, Element>, element: Element, part: string | undefined): void {
  const key = element.getAttribute("entity") ?? "";
  const before = known.get(key);
  switch (stateOf(element)) {
    case "deleted":
      known.delete(key);
      return;
    case "full":
      known.set(key, element);
      return;
    case "partial":
      known.set(key, before === undefined ? element : combined(before, element, part));
  }
}

/** What is in `change` takes the place of what has its name, or its name and key. */
function combined(before: Element, change: Element, part: string | undefined): Element {
  const result = before.cloneNode(true) as Element;
  const replaced = new Set<string>();
  for (const attribute of Array.from(change.attributes)) {
    if (attribute.localName === "state") continue;
    result.setAttributeNS(attribute.namespaceURI, attribute.name, attribute.value);
  }
  for (const node of Array.from(change.childNodes)) {
    if (node.nodeType !== 1) continue;
    const element = node as Element;
    if (element.localName === part) {
      const parts = new Map(
        elements(result, part).map((it) => [it.getAttribute("entity") ?? "", it]),
      );
      merge(parts, element, undefined);
      for (const old of elements(result, part)) result.removeChild(old);
      for (const kept of parts.values()) append(result, kept);
      continue;
    }
    if (!replaced.has(element.localName)) {
      for (const old of elements(result, element.localName)) result.removeChild(old);
      replaced.add(element.localName);
    }
    append(result, element);
  }
  return result;
}

function append(parent: Element, element: Element): void {
  const document = parent.ownerDocument;
  parent.appendChild(document.importNode(element, true));
}

/** §5.1: without the attribute it is full. */
function stateOf(element: Element): State {
  const state = element.getAttribute("state");
  return state === "partial" || state === "deleted" ? state : "full";
}

function participant(user: Element): Participant {
  const endpoints = elements(user, "endpoint").map((endpoint) => ({
    entity: endpoint.getAttribute("entity") ?? "",
    status: text(elements(endpoint, "status")[0]),
  }));
  return {
    uri: user.getAttribute("entity") ?? "",
    display: text(elements(user, "display-text")[0]),
    nickname: nickname(user),
    roles: elements(user, "roles").flatMap((roles) => elements(roles, "entry").map(text)),
    endpoints,
  };
}

/** RFC 7701 §7.4 has it as an attribute of the user's own namespace, or as an element. */
function nickname(user: Element): string {
  for (const attribute of Array.from(user.attributes)) {
    if (attribute.localName === "nickname") return attribute.value;
  }
  return text(elements(user, "nickname")[0]);
}
