/** What is seen of a room. Nothing that others wrote is ever taken for markup. */

import type { Delivery, Message, Participant } from "@msrp-conference/msrp-room";

/** Pictures that are shown; everything else is for downloading. */
const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
/** Messages in the page. */
const SHOWN = 500;
/** Octets of the messages in the page. */
const SHOWN_OCTETS = 64 * 1024 * 1024;

export function byId<Kind extends HTMLElement = HTMLElement>(id: string): Kind {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`#${id} is missing`);
  return element as Kind;
}

function make(name: string, className: string, text = ""): HTMLElement {
  const element = document.createElement(name);
  if (className !== "") element.className = className;
  element.textContent = text;
  return element;
}

/** A message with what the page makes of it. */
export interface Shown {
  readonly message: Message;
  readonly name: string;
  /** Of whom a private message is for. */
  readonly toName: string;
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });

/** The messages, oldest first. */
export class MessageList {
  readonly #list = byId("messages");
  readonly #scroll = byId("scroll");
  readonly #newer = byId("newer");
  #pinned = true;
  /** Octets of the messages by item. */
  readonly #octets = new Map<Element, number>();
  #total = 0;

  constructor() {
    this.#newer.addEventListener("click", () => this.#toEnd());
    this.#scroll.addEventListener("scroll", () => {
      this.#pinned = this.#isAtEnd();
      if (this.#pinned) this.#newer.hidden = true;
    });
    // A keyboard that comes up, a window that changes.
    new ResizeObserver(() => this.#pinned && this.#toEnd()).observe(this.#scroll);
  }

  add(shown: Shown): void {
    const stays = !this.#pinned && !shown.message.own;
    const item = messageItem(shown);
    this.#list.insertBefore(item, this.#place(shown.message));
    this.#octets.set(item, shown.message.body.length);
    this.#total += shown.message.body.length;
    this.#trim();
    this.#markHistory();
    if (stays) this.#newer.hidden = false;
    else this.#toEnd();
  }

  /** What became of a message of ours. */
  deliver(id: string, delivery: Delivery, reason: string): void {
    const item = this.#find(id);
    if (item === undefined) return;
    const words: Record<Delivery, string> = {
      sending: "sending",
      sent: "",
      delivered: "delivered",
      displayed: "read",
      failed: reason === "" ? "not delivered" : `not delivered: ${reason}`,
    };
    item.classList.toggle("failed", delivery === "failed");
    const place = item.querySelector(".delivery");
    if (place !== null) place.textContent = words[delivery];
  }

  /** How much of a large message has gone out. */
  progress(id: string, octets: number, total: number): void {
    const place = this.#find(id)?.querySelector(".delivery");
    if (place && octets < total) place.textContent = `${Math.floor((100 * octets) / total)} %`;
  }

  /** Removes the oldest, and their files. */
  #trim(): void {
    while (this.#octets.size > SHOWN || this.#total > SHOWN_OCTETS) {
      const oldest = this.#list.querySelector(".message");
      if (oldest === null) return;
      for (const link of oldest.querySelectorAll<HTMLAnchorElement>("a[download]")) {
        URL.revokeObjectURL(link.href);
      }
      this.#total -= this.#octets.get(oldest) ?? 0;
      this.#octets.delete(oldest);
      oldest.remove();
    }
  }

  #find(id: string): HTMLElement | undefined {
    return Array.from(this.#list.children).find(
      (it): it is HTMLElement => (it as HTMLElement).dataset["id"] === id,
    );
  }

  /** What was missed while we were away stands where the room has it; before which item. */
  #place(message: Message): Node | null {
    const before = message.after === undefined ? undefined : this.#find(message.after);
    return before?.nextSibling ?? null;
  }

  /** One line between what was said before we came and what is said now. */
  #markHistory(): void {
    this.#list.querySelector(".mark")?.remove();
    const shown = Array.from(this.#list.children);
    const now = shown.findIndex((it) => !it.classList.contains("history"));
    const last = shown.at(now < 0 ? -1 : now - 1);
    if (now !== 0) last?.after(make("li", "mark", "You were not here for what stands above"));
  }

  #isAtEnd(): boolean {
    const { scrollTop, clientHeight, scrollHeight } = this.#scroll;
    return scrollTop + clientHeight >= scrollHeight - 40;
  }

  #toEnd(): void {
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
    this.#newer.hidden = true;
  }
}

function messageItem({ message, name, toName }: Shown): HTMLElement {
  const item = make("li", "message");
  item.dataset["id"] = message.id;
  item.classList.toggle("own", message.own);
  item.classList.toggle("history", message.history);
  item.classList.toggle("private", message.privateTo !== undefined);
  const meta = make("div", "meta");
  meta.append(make("b", "", name));
  if (message.privateTo !== undefined) {
    meta.append(make("span", "", message.own ? `only to ${toName}` : "only to you"));
  }
  const time = make("time", "", time_(message.when)) as HTMLTimeElement;
  time.dateTime = message.when.toISOString();
  meta.append(time);
  if (message.history) meta.append(make("span", "", "earlier"));
  if (message.own) meta.append(make("span", "delivery", message.history ? "" : "sending"));
  item.append(meta, body(message));
  return item;
}

function time_(when: Date): string {
  const today = new Date().toDateString() === when.toDateString();
  return today ? TIME.format(when) : `${DAY.format(when)}, ${TIME.format(when)}`;
}

function body(message: Message): HTMLElement {
  const place = make("div", "body");
  const [type = ""] = message.contentType.toLowerCase().split(";");
  if (type === "text/plain") {
    place.append(...linked(message.text));
    return place;
  }
  const url = URL.createObjectURL(
    new Blob([message.body as Uint8Array<ArrayBuffer>], {
      // What is no picture is never opened as a page.
      type: PICTURES.has(type) ? type : "application/octet-stream",
    }),
  );
  const link = make("a", "", `${type}, ${size(message.body.length)}`) as HTMLAnchorElement;
  link.href = url;
  link.download = `file.${/^[a-z]+\/([a-z0-9]+)/.exec(type)?.[1] ?? "bin"}`;
  place.append(link);
  if (PICTURES.has(type)) {
    const picture = document.createElement("img");
    picture.src = url;
    picture.alt = "A picture";
    place.append(picture);
  }
  return place;
}

/** Text with its web addresses as links. */
function linked(text: string): (string | HTMLElement)[] {
  return text.split(/(https?:\/\/[^\s<>"]+[^\s<>".,;:!?)])/).map((part, at) => {
    if (at % 2 === 0) return part;
    const link = make("a", "", part) as HTMLAnchorElement;
    link.href = part;
    link.rel = "noopener noreferrer";
    link.target = "_blank";
    return link;
  });
}

export function size(octets: number): string {
  if (octets < 1024) return `${octets} B`;
  if (octets < 1024 * 1024) return `${Math.round(octets / 1024)} KiB`;
  return `${(octets / 1024 / 1024).toFixed(1)} MiB`;
}

/** What people are called: by their nickname, else their name, else their address. */
export function nameOf(participant: Participant | undefined, uri: string, said = ""): string {
  const user = uri.replace(/^sips?:/i, "").replace(/@.*$/, "");
  return participant?.nickname || participant?.display || said || user;
}

/** The list of those who are there. */
export function showRoster(
  people: readonly Participant[],
  self: string,
  chosen: string | undefined,
  choose: ((uri: string) => void) | undefined,
): void {
  const sorted = [...people].sort((left, right) =>
    nameOf(left, left.uri).localeCompare(nameOf(right, right.uri)),
  );
  const focused = (document.activeElement as HTMLElement | null)?.dataset["uri"];
  byId("roster").replaceChildren(
    ...sorted.map((person) => rosterItem(person, self, chosen, choose)),
  );
  byId("people-count").textContent = String(sorted.length);
  if (focused !== undefined) {
    const again = Array.from(byId("roster").querySelectorAll("button"));
    again.find((it) => it.dataset["uri"] === focused)?.focus();
  }
}

function rosterItem(
  person: Participant,
  self: string,
  chosen: string | undefined,
  choose: ((uri: string) => void) | undefined,
): HTMLElement {
  const name = nameOf(person, person.uri);
  const own = person.uri === self;
  const item = make("li", "");
  const row = make(own || choose === undefined ? "div" : "button", own ? "self" : "");
  if (row instanceof HTMLButtonElement) {
    row.type = "button";
    row.dataset["uri"] = person.uri;
    row.setAttribute("aria-pressed", String(person.uri === chosen));
    row.title = `Write to ${name} in private`;
    row.addEventListener("click", () => choose?.(person.uri));
  }
  const face = make("span", "face", Array.from(name)[0]?.toUpperCase() ?? "");
  face.setAttribute("aria-hidden", "true");
  const who = make("span", "who");
  who.append(make("span", "", own ? `${name} (you)` : name));
  who.append(make("small", "", status(person)));
  row.append(face, who);
  item.append(row);
  return item;
}

function status(person: Participant): string {
  const states = person.endpoints.map((it) => it.status);
  const words: string[] = [];
  if (person.nickname !== "") words.push(person.display || person.uri.replace(/^sips?:/i, ""));
  if (person.roles.includes("moderator")) words.push("moderator");
  if (states.length > 0 && states.every((it) => it === "on-hold")) words.push("connection lost");
  else if (states.some((it) => it !== "connected" && it !== "on-hold") && !states.includes("connected")) {
    words.push("being invited");
  }
  return words.join(" · ");
}
