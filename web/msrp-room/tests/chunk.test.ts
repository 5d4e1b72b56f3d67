import { describe, expect, it } from "vitest";

import { ChunkError, parseByteRange, parseChunk, writeChunk } from "../src/chunk.js";
import { decode, encode } from "../src/octets.js";

const SEND =
  "MSRP a786hjs2 SEND\r\nTo-Path: msrps://room.example:443/s1;ws\r\n" +
  "From-Path: msrps://x.invalid:9/s2;ws\r\nMessage-ID: 87652491\r\nByte-Range: 1-25/25\r\n" +
  "Content-Type: text/plain\r\n\r\nHey Bob, are you there?\r\n\r\n-------a786hjs2$\r\n";

describe("chunks", () => {
  it("are read and written octet for octet", () => {
    const chunk = parseChunk(encode(SEND));
    expect(chunk.method).toBe("SEND");
    expect(chunk.toPath).toEqual(["msrps://room.example:443/s1;ws"]);
    expect(decode(chunk.body ?? new Uint8Array())).toBe("Hey Bob, are you there?\r\n");
    expect(decode(writeChunk(chunk))).toBe(SEND);
  });

  it("may be responses, with and without a reason", () => {
    for (const [line, comment] of [
      ["200 OK", "OK"],
      ["403 May I not?", "May I not?"],
      ["481", undefined],
    ] as const) {
      const text = `MSRP abcd ${line}\r\nTo-Path: a b\r\nFrom-Path: c\r\n-------abcd$\r\n`;
      const chunk = parseChunk(encode(text));
      expect([chunk.status, chunk.comment]).toEqual([Number(line.slice(0, 3)), comment]);
      expect(chunk.toPath).toEqual(["a", "b"]);
      expect(decode(writeChunk(chunk))).toBe(text);
    }
  });

  it("keep bodies that look like lines of theirs", () => {
    const body = encode("\r\n\r\n-------other$\r\n\r\nMSRP x SEND\r\n");
    const chunk = { ...parseChunk(encode(SEND)), body };
    expect(parseChunk(writeChunk(chunk)).body).toEqual(body);
  });

  it("are nothing else", () => {
    for (const text of [
      "",
      "GET / HTTP/1.1\r\n\r\n",
      SEND.slice(0, -1),
      SEND + SEND.replaceAll("a786hjs2", "a786hjs3"),
      SEND.replace("-------a786hjs2", "-------b786hjs2"),
      SEND.replace("Message-ID: 87652491", "Message-ID"),
    ]) {
      expect(() => parseChunk(encode(text)), text).toThrow(ChunkError);
    }
  });

  it("say which octets they have", () => {
    expect(parseByteRange("1-25/25")).toEqual({ start: 1, end: 25, total: 25 });
    expect(parseByteRange("5-*/*")).toEqual({ start: 5 });
    expect(parseByteRange("x")).toBeUndefined();
    expect(parseByteRange(undefined)).toBeUndefined();
  });
});
