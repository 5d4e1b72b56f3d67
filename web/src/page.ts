/** The page: a form, and the room behind it. */

import {
  type ConnectionState,
  type Delivery,
  type Message,
  MsrpError,
  type Received,
  Room,
  jssip,
} from "@msrp-conference/msrp-room";

import { type Config, address, loadConfig } from "./config.js";
import { type Entry, type KeptMessage, keepable, kept } from "./kept.js";
import { MessageList, byId, nameOf, showRoster } from "./view.js";

/** The largest file that is sent: with its envelope it must be below the server's limit. */
const LARGEST = 9 * 1024 * 1024;

/** Messages that wait for the page to be seen before their senders hear of it. */
const UNSEEN = 500;

const STATES: Record<ConnectionState, string> = {
  connecting: "Connecting",
  online: "Connected",
  reconnecting: "Connection lost, trying again",
  left: "You have left",
};

class Page {
  readonly #messages = new MessageList();
  readonly #text = byId<HTMLTextAreaElement>("text");
  readonly #user: string;
  /** Only the user's own choice takes it back: they may be writing to somebody who has left. */
  #privateTo: string | undefined;
  #unread = 0;
  readonly #unseen: Received[] = [];
  /** Messages of ours without an answer. */
  readonly #unanswered = new Map<string, KeptMessage>();

  constructor(
    config: Config,
    entry: Entry,
    password: string,
    private readonly leave: (reason: string) => void,
    private readonly room = makeRoom(config, entry, password),
  ) {
    this.#user = address(entry.name, config.domain);
    byId("title").textContent = entry.room;
    this.#listen();
    this.#control();
    for (const message of kept.messages) {
      this.#show(restored(message));
      if (message.failed !== undefined) this.#messages.deliver(message.id, "failed", message.failed);
    }
    for (const message of this.room.unsent) this.#showOwn(message);
    this.#writeTo(kept.privateTo);
    this.room.join();
  }

  #listen(): void {
    this.room.on("state", ({ state, reason }) => this.#stateIs(state, reason));
    this.room.on("message", (message) => this.#arrived(message));
    this.room.on("delivery", ({ id, delivery, reason }) => this.#delivered(id, delivery, reason));
    this.room.on("progress", ({ id, octets, total }) => this.#messages.progress(id, octets, total));
    this.room.on("roster", () => this.#showRoster());
    this.room.on("typing", (users) => this.#typing(users));
  }

  #control(): void {
    byId("compose").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    });
    this.#text.addEventListener("input", () => {
      this.#fit();
      if (this.#privateTo === undefined) this.room.typed(this.#text.value === "");
    });
    const file = byId<HTMLInputElement>("file");
    byId("attach").addEventListener("click", () => file.click());
    file.addEventListener("change", () => void this.#sendFile(file));
    byId("to-all").addEventListener("click", () => this.#writeTo(undefined));
    byId("leave").addEventListener("click", () => this.room.leave());
    byId("people-toggle").addEventListener("click", () => this.#togglePeople());
    addEventListener("online", () => this.room.retryNow());
    document.addEventListener("visibilitychange", () => this.#seen());
    this.#controlNickname();
  }

  #controlNickname(): void {
    const dialog = byId<HTMLDialogElement>("nick-dialog");
    const name = byId<HTMLInputElement>("nick-name");
    const problem = byId("nick-problem");
    byId("nick").addEventListener("click", () => {
      problem.hidden = true;
      name.value = this.room.roster.find(this.#user)?.nickname ?? "";
      dialog.showModal();
    });
    byId("nick-cancel").addEventListener("click", () => dialog.close());
    byId("nick-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.room.nickname(name.value.trim()).then(
        () => dialog.close(),
        (error: unknown) => {
          problem.textContent = nicknameProblem(error);
          problem.hidden = false;
          name.select();
        },
      );
    });
  }

  #stateIs(state: ConnectionState, reason: string): void {
    if (state === "left") {
      this.leave(reason);
      return;
    }
    const place = byId("state");
    place.dataset["state"] = state;
    place.textContent = reason === "" ? STATES[state] : `${STATES[state]} (${reason})`;
    byId<HTMLButtonElement>("nick").hidden = state === "online" && !this.room.features.nicknames;
    if (state === "online") this.#showRoster();
  }

  #arrived(message: Message): void {
    kept.messages = [...kept.messages, keepable(message)];
    this.#show(message);
    if (!document.hidden) this.room.shown(message);
    else if (!message.history) {
      this.#unread += 1;
      this.#showLater(message);
      this.#title();
    }
  }

  #showLater({ id, from, when, wantsDisplay }: Message): void {
    if (!wantsDisplay) return;
    this.#unseen.push({ id, from, when, wantsDisplay });
    if (this.#unseen.length > UNSEEN) this.#unseen.shift();
  }

  #seen(): void {
    if (document.hidden) return;
    for (const message of this.#unseen.splice(0)) this.room.shown(message);
    this.#unread = 0;
    this.#title();
  }

  #title(): void {
    const room = byId("title").textContent ?? "";
    document.title = this.#unread === 0 ? room : `(${this.#unread}) ${room}`;
  }

  #show(message: Message): void {
    const { roster } = this.room;
    const to = message.privateTo ?? "";
    this.#messages.add({
      message,
      name: message.own ? "You" : nameOf(roster.find(message.from), message.from, message.name),
      toName: nameOf(roster.find(to), to),
    });
  }

  #showOwn(message: Message): void {
    this.#unanswered.set(message.id, keepable(message));
    this.#show(message);
  }

  #delivered(id: string, delivery: Delivery, reason: string): void {
    const message = this.#unanswered.get(id);
    if (message !== undefined) {
      this.#unanswered.delete(id);
      const failed = delivery === "failed" ? { failed: reason } : {};
      kept.messages = [...kept.messages, { ...message, ...failed }];
    }
    this.#messages.deliver(id, delivery, reason);
  }

  #typing(users: readonly string[]): void {
    const names = users.map((uri) => nameOf(this.room.roster.find(uri), uri));
    const [first = "", second = ""] = names;
    const words = [
      "",
      `${first} is typing`,
      `${first} and ${second} are typing`,
      `${first}, ${second} and others are typing`,
    ];
    byId("typing").textContent = words[Math.min(names.length, 3)] ?? "";
  }

  #showRoster(): void {
    const { roster, features } = this.room;
    const choose = features.privateMessages ? (uri: string) => this.#writeTo(uri) : undefined;
    showRoster(roster.participants, this.#user, this.#privateTo, choose);
  }

  #writeTo(uri: string | undefined): void {
    this.#privateTo = uri;
    kept.privateTo = uri;
    byId("to").hidden = uri === undefined;
    byId("to-name").textContent = uri === undefined ? "" : nameOf(this.room.roster.find(uri), uri);
    byId("people").classList.remove("open");
    byId("people-toggle").setAttribute("aria-expanded", "false");
    this.#showRosterChoice();
    this.#text.focus();
  }

  #showRosterChoice(): void {
    for (const button of byId("roster").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset["uri"] === this.#privateTo));
    }
  }

  #togglePeople(): void {
    const open = byId("people").classList.toggle("open");
    byId("people-toggle").setAttribute("aria-expanded", String(open));
  }

  #send(): void {
    const text = this.#text.value.trim();
    if (text === "") return;
    this.#showOwn(this.room.say(text, this.#privateTo));
    this.#text.value = "";
    this.#fit();
  }

  async #sendFile(input: HTMLInputElement): Promise<void> {
    const file = input.files?.[0];
    input.value = "";
    if (file === undefined) return;
    if (file.size > LARGEST) {
      byId("typing").textContent = `${file.name} is too large: 9 MiB at most`;
      return;
    }
    const to = this.#privateTo;
    const octets = new Uint8Array(await file.arrayBuffer());
    this.#showOwn(this.room.sendFile(file.type || "application/octet-stream", octets, to));
  }

  /** As high as what is written, to a limit. */
  #fit(): void {
    this.#text.rows = Math.min(this.#text.value.split("\n").length, 6);
  }
}

function makeRoom(config: Config, entry: Entry, password: string): Room {
  const user = address(entry.name, config.domain);
  const saved = kept.session;
  return new Room({
    room: address(entry.room, config.domain),
    user,
    name: entry.name,
    signalling: jssip({
      url: config.sip,
      user,
      displayName: entry.name,
      ...(password === "" ? {} : { password }),
    }),
    secure: location.protocol === "https:",
    ...(config.msrp === undefined ? {} : { msrpUrl: config.msrp }),
    ...(saved === undefined ? {} : { saved }),
    save: (session) => (kept.session = session),
  });
}

function restored({ failed: _, ...message }: KeptMessage): Message {
  const body = new TextEncoder().encode(message.text);
  return { ...message, body, when: new Date(message.when), history: true, wantsDisplay: false };
}

function nicknameProblem(error: unknown): string {
  const status = error instanceof MsrpError ? error.status : 0;
  const words: Record<number, string> = {
    403: "This room has no nicknames.",
    424: "This cannot be a nickname.",
    425: "Somebody else has this nickname.",
  };
  return words[status] ?? "The room did not answer.";
}

async function start(): Promise<void> {
  const config = await loadConfig();
  const name = byId<HTMLInputElement>("name");
  const room = byId<HTMLInputElement>("room");
  const problem = byId("entry-problem");
  const enter = (entry: Entry, password: string): void => {
    // Nobody goes on with what another has left.
    if (kept.entry?.name !== entry.name || kept.entry.room !== entry.room) kept.clear();
    byId("entry").hidden = true;
    byId("chat").hidden = false;
    kept.entry = entry;
    document.title = entry.room;
    new Page(config, entry, password, (reason) => {
      kept.clear();
      kept.reason = reason;
      // Everything begins anew, and nothing of the room is left.
      location.reload();
    });
    byId("text").focus();
  };
  const { entry, reason = "" } = kept;
  kept.reason = undefined;
  problem.textContent = reason;
  problem.hidden = reason === "";
  room.value = entry?.room ?? config.room;
  name.value = entry?.name ?? new URLSearchParams(location.search).get("name") ?? "";
  const password = byId<HTMLInputElement>("password");
  byId("join").addEventListener("submit", (event) => {
    event.preventDefault();
    const account = password.value !== "";
    enter({ name: name.value.trim(), room: room.value.trim(), account }, password.value);
  });
  if (entry?.account === false) enter(entry, "");
  else {
    byId("entry").hidden = false;
    byId<HTMLDetailsElement>("account").open = entry !== undefined;
    (entry === undefined ? name : password).focus();
  }
}

void start();
