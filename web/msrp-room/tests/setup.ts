/** What browsers have and Node, depending on its age, has not. */

import { webcrypto } from "node:crypto";

import { DOMParser } from "@xmldom/xmldom";

class Quiet extends DOMParser {
  constructor() {
    super({ errorHandler: { warning: () => undefined, error: fail, fatalError: fail } });
  }
}

function fail(message: string): never {
  throw new Error(message);
}

Object.assign(globalThis, { DOMParser: Quiet });
globalThis.crypto ??= webcrypto as Crypto;
