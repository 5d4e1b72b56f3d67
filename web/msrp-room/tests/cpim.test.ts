import { describe, expect, it } from "vitest";

import { CpimError, IMDN, cpimHeader, mediaType, parseCpim, writeCpim } from "../src/cpim.js";
import { decode, encode } from "../src/octets.js";

describe("CPIM", () => {
  it("is read back as it was written", () => {
    const message = {
      from: { uri: "sip:alice@example.com", name: 'Alice "the great" \\' },
      to: { uri: "sip:lobby@example.com" },
      dateTime: new Date("2026-11-30T12:00:00.000Z"),
      headers: [
        { namespace: IMDN, name: "Message-ID", value: "34jk324j" },
        { namespace: "urn:msrp-conference:ns", name: "Retract", value: "x" },
      ],
      contentType: "text/plain;charset=utf-8",
      body: encode("caf\u{e9}\r\n\r\n"),
    };
    expect(parseCpim(writeCpim(message))).toEqual(message);
  });

  it("is read as deployed clients write it", () => {
    const text =
      "From: Alice Example <sip:alice@example.com>\nTo: <sip:lobby@example.com>\n" +
      "NS: i <urn:ietf:params:imdn>\ni.Message-ID: 1\n\nContent-type: text/plain; charset=\"utf8\"\n\nhi";
    const message = parseCpim(encode(text));
    expect(message.from).toEqual({ uri: "sip:alice@example.com", name: "Alice Example" });
    expect(cpimHeader(message, IMDN, "Message-ID")).toBe("1");
    expect(mediaType(message.contentType)).toBe("text/plain");
    expect(decode(message.body)).toBe("hi");
  });

  it("needs a sender and a receiver", () => {
    for (const text of ["", "hello", "From: <sip:a@b>\r\n\r\nContent-Type: text/plain\r\n\r\nx"]) {
      expect(() => parseCpim(encode(text)), text).toThrow(CpimError);
    }
  });

  it("lets no line in by a name", () => {
    const message = parseCpim(
      writeCpim({
        from: { uri: "sip:a@b", name: "x\r\nTo: <sip:evil@b>" },
        to: { uri: "sip:r@b" },
        headers: [],
        contentType: "text/plain",
        body: encode("x"),
      }),
    );
    expect(message.to.uri).toBe("sip:r@b");
  });
});
