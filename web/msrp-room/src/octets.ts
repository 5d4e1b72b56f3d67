/** Octets and text. */

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

export function encode(text: string): Uint8Array {
  return encoder.encode(text);
}

/** What is no UTF-8 becomes U+FFFD. */
export function decode(octets: Uint8Array): string {
  return decoder.decode(octets);
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Where ASCII `text` stands first, at or behind `from`; -1: nowhere. */
export function indexOf(octets: Uint8Array, text: string, from: number): number {
  const first = text.charCodeAt(0);
  for (let at = octets.indexOf(first, from); at >= 0; at = octets.indexOf(first, at + 1)) {
    let same = 1;
    while (same < text.length && octets[at + same] === text.charCodeAt(same)) same += 1;
    if (same === text.length) return at;
  }
  return -1;
}

/** Lower-case hexadecimal digits, two an octet of randomness. */
export function randomId(octets: number): string {
  const random = crypto.getRandomValues(new Uint8Array(octets));
  return Array.from(random, (octet) => octet.toString(16).padStart(2, "0")).join("");
}
