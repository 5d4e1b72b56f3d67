// Serves the built page and drives browsers that show it, for tests/browser.rs: a command a line
// on standard input, an answer a line on standard output, both JSON.
import { createReadStream } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as createTcpServer, connect } from "node:net";
import { tmpdir } from "node:os";
import { join, normalize } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const DIST = fileURLToPath(new URL("dist/", import.meta.url));
/** Another client, and a page around it. */
const OPENSIPS_JS = fileURLToPath(
  new URL("node_modules/opensips-js/dist/opensips-js.iife.js", import.meta.url),
);
const OPENSIPS_PAGE = '<!doctype html><title>opensips-js</title><script src="/opensips-js.js"></script>';
const TYPES = { html: "text/html", css: "text/css", js: "text/javascript", json: "application/json", svg: "image/svg+xml" };
/** How long anything may take that must come. */
const PATIENCE = 30_000;

/** A line that can be cut. */
class Wire {
  sockets = new Set();
  isCut = false;
  target;

  async listen(target) {
    this.target = target;
    this.server = createTcpServer((socket) => this.#forward(socket));
    this.server.listen(0, "127.0.0.1");
    await new Promise((resolve) => this.server.once("listening", resolve));
    return this.server.address().port;
  }

  #forward(socket) {
    if (this.isCut) return void socket.destroy();
    const other = connect(this.target, "127.0.0.1");
    for (const end of [socket, other]) {
      this.sockets.add(end);
      end.setNoDelay(true);
      end.on("error", () => undefined);
    }
    socket.on("close", () => other.destroy());
    other.on("close", () => socket.destroy());
    socket.pipe(other);
    other.pipe(socket);
  }

  cut() {
    this.isCut = true;
    for (const socket of this.sockets) socket.destroy();
    this.sockets.clear();
  }

  mend() {
    this.isCut = false;
  }
}

const wires = { sip: new Wire(), msrp: new Wire() };
const pages = new Map();
let browser;
let folder;
let site;
let opensips;

async function serve(config) {
  const server = createServer((request, response) => {
    const path = new URL(request.url, "http://x").pathname;
    if (path === "/config.json") {
      response.setHeader("Content-Type", TYPES.json);
      return void response.end(JSON.stringify(config));
    }
    if (path === "/opensips.html") {
      response.setHeader("Content-Type", TYPES.html);
      return void response.end(OPENSIPS_PAGE);
    }
    if (path === "/opensips-js.js") {
      response.setHeader("Content-Type", TYPES.js);
      return void createReadStream(OPENSIPS_JS).pipe(response);
    }
    const file = join(DIST, normalize(path === "/" ? "/index.html" : path));
    stat(file).then(
      () => {
        response.setHeader("Content-Type", TYPES[file.split(".").at(-1)] ?? "application/octet-stream");
        createReadStream(file).pipe(response);
      },
      () => void response.writeHead(404).end(),
    );
  });
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return `http://127.0.0.1:${server.address().port}/`;
}

/** Everything a page says in its console that is an error is told with the failure. */
function watch(page) {
  const complaints = [];
  page.on("console", (line) => line.type() === "error" && complaints.push(line.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  return complaints;
}

function page(command) {
  const known = pages.get(command.page);
  if (known === undefined) throw new Error(`no page of ${command.page}`);
  return known.page;
}

const commands = {
  async start({ executable, sip, msrp, domain, room }) {
    const ports = { sip: await wires.sip.listen(sip), msrp: await wires.msrp.listen(msrp) };
    opensips = { sip: `ws://127.0.0.1:${ports.sip}/`, msrp: `127.0.0.1:${ports.msrp}` };
    site = await serve({
      sip: `ws://127.0.0.1:${ports.sip}/`,
      msrp: `ws://127.0.0.1:${ports.msrp}/`,
      domain,
      room,
    });
    folder = await mkdtemp(join(tmpdir(), "browser-"));
    browser = await chromium.launch({
      executablePath: executable,
      headless: true,
      args: [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
      env: { ...process.env, HOME: folder },
    });
    return browser.version();
  },

  async join(command) {
    const context = await browser.newContext({ viewport: { width: 1000, height: 700 } });
    const opened = await context.newPage();
    pages.set(command.page, { page: opened, context, complaints: watch(opened) });
    await opened.goto(`${site}?name=${command.page}`);
    await opened.getByRole("button", { name: "Join" }).click();
    await commands.online(command);
  },

  async online(command) {
    await page(command).locator("#state[data-state=online]").waitFor({ timeout: PATIENCE });
  },

  async offline(command) {
    await page(command).locator("#state:not([data-state=online])").waitFor({ timeout: PATIENCE });
  },

  async say(command) {
    const text = page(command).getByLabel("Message", { exact: true });
    await text.fill(command.text);
    await text.press("Enter");
  },

  /** Waits until a message stands there, once, and gives what stands around it. */
  async sees(command) {
    const message = page(command).locator(".message", { has: page(command).getByText(command.text, { exact: true }) });
    await message.first().waitFor({ timeout: PATIENCE });
    return { count: await message.count(), text: await message.first().innerText(), classes: await message.first().getAttribute("class") };
  },

  /** Every text that is shown, in its order. */
  async texts(command) {
    return page(command).locator(".message .body").allInnerTexts();
  },

  async delivered(command) {
    const message = page(command).locator(".message.own", { hasText: command.text });
    await message.getByText(command.how, { exact: true }).waitFor({ timeout: PATIENCE });
  },

  async roster(command) {
    await page(command).waitForFunction(
      (names) => {
        const shown = Array.from(document.querySelectorAll("#roster .who > span"), (it) =>
          it.textContent.replace(" (you)", ""),
        );
        return shown.sort().join() === [...names].sort().join() &&
          !document.querySelector("#roster").textContent.includes("connection lost");
      },
      command.names,
      { timeout: PATIENCE },
    );
  },

  async nickname(command) {
    const own = page(command);
    await own.getByRole("button", { name: "Nickname" }).click();
    await own.getByLabel("Others see you as").fill(command.name);
    await own.getByRole("button", { name: "Use it" }).click();
    const problem = own.locator("#nick-problem:not([hidden])");
    const closed = own.locator("#nick-dialog").waitFor({ state: "hidden", timeout: PATIENCE });
    const answer = await Promise.race([
      closed.then(() => ""),
      problem.waitFor({ timeout: PATIENCE }).then(() => problem.innerText()),
    ]);
    if (answer !== "") await own.getByRole("button", { name: "Cancel" }).click();
    return answer;
  },

  /** To one alone from now on, by the roster. */
  async to(command) {
    await page(command).locator("#roster button", { hasText: command.name }).click();
  },

  async toAll(command) {
    await page(command).getByRole("button", { name: "Write to everybody" }).click();
  },

  async type(command) {
    await page(command).getByLabel("Message", { exact: true }).pressSequentially(command.text);
  },

  async typing(command) {
    await page(command).locator("#typing", { hasText: command.text }).waitFor({ timeout: PATIENCE });
  },

  async sendFile(command) {
    const buffer = Buffer.alloc(command.octets, "~");
    await page(command)
      .locator("#file")
      .setInputFiles({ name: "large.bin", mimeType: "application/octet-stream", buffer });
  },

  /** The length of the file that came last. */
  async file(command) {
    const link = page(command).locator(".message .body a[download]").last();
    await link.waitFor({ timeout: PATIENCE });
    return link.evaluate(async (it) => (await (await fetch(it.href)).arrayBuffer()).byteLength).catch(() =>
      // The page may open no blob by its own policy: what it shows will do.
      link.innerText(),
    );
  },

  /** opensips-js, in a room that takes plain text; it says something as soon as it is in. */
  async opensipsJs(command) {
    const context = await browser.newContext();
    const opened = await context.newPage();
    pages.set(command.page, { page: opened, context, complaints: watch(opened) });
    await opened.goto(`${site}opensips.html`);
    await opened.evaluate(
      ({ user, room, text, sip, msrp }) => {
        const client = new OpensipsJS.default({
          configuration: {
            session_timers: false,
            uri: `sip:${user}@127.0.0.1`,
            authorization_user: user,
            password: "builder",
          },
          socketInterfaces: [sip],
          sipDomain: "127.0.0.1",
          sipOptions: { session_timers: false, extraHeaders: [], pcConfig: {} },
          msrpWs: true,
          msrpDomain: msrp,
          msrpReconnectInterval: 500,
          modules: ["msrp"],
        });
        window.client = client;
        window.heard = [];
        client.on("newMSRPMessage", ({ message }) => {
          if (message.direction === "incoming") window.heard.push(message.body);
        });
        client.on("registered", () => client.msrp.initMSRPAndSendMessage(room, text));
        client.begin();
      },
      { ...command, ...opensips },
    );
  },

  /** Says something by opensips-js. */
  async opensipsSays(command) {
    await page(command).evaluate((text) => window.client.msrp.sendMSRP(window.client.msrp.extendedSession._id, text), command.text);
  },

  async opensipsHears(command) {
    await page(command).waitForFunction((text) => window.heard.some((it) => it.includes(text)), command.text, { timeout: PATIENCE });
  },

  async opensipsLeaves(command) {
    await page(command).evaluate(() => window.client.msrp.messageTerminate(window.client.msrp.extendedSession._id));
  },

  async reload(command) {
    await page(command).reload();
    await commands.online(command);
  },

  async close(command) {
    await pages.get(command.page).context.close();
    pages.delete(command.page);
  },

  async leave(command) {
    await page(command).getByRole("button", { name: "Leave" }).click();
    await page(command).getByRole("button", { name: "Join" }).waitFor({ timeout: PATIENCE });
  },

  /** Both lines are dead, or the one that is named. */
  async cut(command) {
    for (const [name, wire] of Object.entries(wires)) {
      if (command.wire === undefined || command.wire === name) wire.cut();
    }
  },

  async mend() {
    for (const wire of Object.values(wires)) wire.mend();
  },

  async picture(command) {
    const own = page(command);
    await own.emulateMedia({ colorScheme: command.scheme, reducedMotion: "reduce" });
    await own.setViewportSize({ width: command.width, height: command.height });
    await own.screenshot({ path: command.path, animations: "disabled" });
    return own.evaluate(() => document.documentElement.scrollWidth);
  },

  /** What cannot be used by everybody: controls without a name, text of little contrast. */
  async audit(command) {
    return page(command).evaluate(() => {
      const problems = [];
      const visible = (it) => it.checkVisibility() && it.getClientRects().length > 0;
      for (const it of document.querySelectorAll("button, input, textarea, a, [role]")) {
        const name = it.ariaLabel || it.textContent.trim() || it.labels?.[0]?.textContent || it.getAttribute("aria-labelledby");
        if (visible(it) && !name && it.type !== "file" && it.getAttribute("role") !== "status" && it.getAttribute("role") !== "log") {
          problems.push(`no name: ${it.outerHTML.slice(0, 80)}`);
        }
      }
      const channel = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
      const colour = (text) => text.match(/[\d.]+/g).map(Number);
      const light = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
      const behind = (it) => {
        for (let at = it; at; at = at.parentElement) {
          const [r, g, b, a = 1] = colour(getComputedStyle(at).backgroundColor);
          if (a > 0.5) return [r, g, b];
        }
        return [255, 255, 255];
      };
      for (const it of document.querySelectorAll("body *")) {
        const own = Array.from(it.childNodes).some((node) => node.nodeType === 3 && node.textContent.trim() !== "");
        if (!own || !visible(it)) continue;
        const [left, right] = [light(colour(getComputedStyle(it).color)), light(behind(it))];
        const ratio = (Math.max(left, right) + 0.05) / (Math.min(left, right) + 0.05);
        if (ratio < 4.5) problems.push(`contrast ${ratio.toFixed(2)}: ${it.textContent.trim().slice(0, 40)}`);
      }
      return problems;
    });
  },

  async complaints(command) {
    return pages.get(command.page).complaints.splice(0);
  },
};

async function end() {
  await browser?.close();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  process.exit(0);
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = { ok: (await commands[command.do](command)) ?? null };
  } catch (error) {
    const said = Array.from(pages, ([name, { complaints }]) => complaints.map((it) => `${name}: ${it}`)).flat();
    answer = { error: [String(error), ...said].join("\n") };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await end();
