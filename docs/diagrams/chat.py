#!/usr/bin/env python3
"""Draws chat.svg: a real chat, as it stands on the terminal of msrp-chat.

    make && pip install pyte && docs/diagrams/chat.py

Starts Kamailio with the eleven lines of the README, lets Bob and Carol join beside Alice, and
draws the screen on which she sits.
"""

import html
import os
import pathlib
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

import pyte

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build"))
COLUMNS, LINES = 70, 11
PATIENCE = 20  # seconds
ROOM = "sip:lobby@example.com"
COLOURS = {
    "default": "#e6edf3", "black": "#6e7681", "red": "#ff7b72", "green": "#7ee787",
    "brown": "#e3b341", "blue": "#79c0ff", "magenta": "#d2a8ff", "cyan": "#76e3ea",
    "white": "#ffffff", "brightblack": "#8b949e",
}
BACKGROUND = "#0d1117"


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *command):
        self.screen = pyte.Screen(COLUMNS, LINES)
        self.stream = pyte.ByteStream(self.screen)
        self.process, self.file = pty.fork()
        if self.process == 0:
            size = {"COLUMNS": str(COLUMNS), "LINES": str(LINES), "TERM": "xterm-256color"}
            os.execvpe(command[0], command, {**os.environ, **size})

    def until(self, text):
        end = time.monotonic() + PATIENCE
        while text not in "\n".join(self.screen.display):
            left = end - time.monotonic()
            if left < 0 or not select.select([self.file], [], [], left)[0]:
                sys.exit(f"{text!r} does not come:\n" + "\n".join(self.screen.display))
            try:
                self.stream.feed(os.read(self.file, 65536))
            except OSError:
                sys.exit("the program ended:\n" + "\n".join(self.screen.display))

    def type(self, line, seen=None):
        os.write(self.file, line.encode() + b"\r")
        self.until(seen or line)

    def end(self):
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)


def picture(screen):
    """The screen as SVG: a run of equal characters is one element."""
    wide, high, left, top = 8.4, 19, 18, 52
    width, height = round(COLUMNS * wide + 2 * left), LINES * high + top + 8
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="A chat room on the terminal of msrp-chat">',
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>',
    ]
    for at, colour in enumerate(("#ff5f57", "#febc2e", "#28c840")):
        out.append(f'<circle cx="{22 + 20 * at}" cy="20" r="6" fill="{colour}"/>')
    out.append('<g font-family="ui-monospace,Menlo,Consolas,monospace" font-size="14" '
               'xml:space="preserve">')
    for row in range(LINES):
        line = screen.buffer[row]
        at = 0
        while at < COLUMNS:
            first, end = line[at], at + 1
            style = (first.fg, first.bold, first.reverse)
            while end < COLUMNS and (line[end].fg, line[end].bold, line[end].reverse) == style:
                end += 1
            text = "".join(line[column].data for column in range(at, end)).rstrip()
            if text:
                at += len(text) - len(text.lstrip())
                colour = COLOURS.get(first.fg, COLOURS["default"])
                bold = ' font-weight="bold"' if first.bold else ""
                out.append(f'<text x="{left + at * wide:.1f}" y="{top + row * high}" '
                           f'fill="{colour}"{bold}>{html.escape(text.strip(), quote=False)}</text>')
            at = end
    return "\n".join(out + ["</g>", "</svg>", ""])


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    except OSError:
        return False


def configuration(folder, sip, msrp):
    """The README's own, on ports that are free."""
    blocks = re.findall(r"```\n(loadmodule.*?)```", (ROOT / "README.md").read_text(), re.S)
    text = blocks[0].replace('"msrp_conference.so"', f'"{BUILD / "msrp_conference.so"}"')
    text = text.replace("0.0.0.0:2855", f"127.0.0.1:{msrp}")
    file = folder / "chat.cfg"
    file.write_text(f"listen=udp:127.0.0.1:{sip}\nlisten=tcp:127.0.0.1:{sip}\n{text}")
    return file


def main():
    sip, msrp = free_port(), free_port()

    def person(name):
        address = f"sip:{name.lower()}@example.com"
        chat = str(BUILD / "msrp-chat")
        return Terminal(chat, "--proxy", f"127.0.0.1:{sip}", "--name", name, "--from", address, ROOM)

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        log = open(folder / "log", "w+")
        proxy = subprocess.Popen(
            ["kamailio", "-f", configuration(folder, sip, msrp), "-DD", "-E", "-Y", folder],
            stdout=log, stderr=log)
        people = []
        try:
            end = time.monotonic() + PATIENCE
            while not (listens(sip) and listens(msrp)):
                if proxy.poll() is not None or time.monotonic() > end:
                    sys.exit((folder / "log").read_text())
                time.sleep(0.05)
            for name in ("Alice", "Bob", "Carol"):
                people.append(person(name))
                people[-1].until("Here: ")
            alice, bob, carol = people
            alice.until("Carol joined")
            bob.type("Morning! Is the new gateway up?")
            alice.until("gateway up?")
            alice.type("Since six. 40 calls on it already.")
            carol.until("40 calls")
            carol.type("Nice. I watch the logs")
            alice.until("Carol: Nice")
            bob.type("/msg Alice Lunch at one?", "Lunch at one?")
            alice.until("Lunch at one?")
            alice.type("/who", "Here: Alice, Bob, Carol")
            (ROOT / "docs/diagrams/chat.svg").write_text(picture(alice.screen))
            print("\n".join(alice.screen.display))
        finally:
            for one in people:
                one.end()
            proxy.terminate()
            proxy.wait()


main()
