/** The parts of JsSIP that its own types leave out. */

declare module "jssip/lib/SIPMessage.js" {
  import type { UA, URI } from "jssip";

  export interface IncomingMessage {
    readonly method: string;
    readonly body: string | null;
    getHeader(name: string): string | undefined;
  }
  export interface IncomingResponse extends IncomingMessage {
    readonly status_code: number;
    readonly reason_phrase: string;
  }
  export interface IncomingRequest extends IncomingMessage {
    reply(code: number, reason?: string | null, headers?: string[], body?: string): void;
  }
  class InitialOutgoingInviteRequest {
    constructor(
      target: URI,
      ua: UA,
      params: { from_tag?: string },
      extraHeaders: string[],
      body: string,
    );
  }
  const SIPMessage: { InitialOutgoingInviteRequest: typeof InitialOutgoingInviteRequest };
  export default SIPMessage;
}

declare module "jssip/lib/RequestSender.js" {
  import type { UA } from "jssip";
  import type { IncomingResponse } from "jssip/lib/SIPMessage.js";

  export default class RequestSender {
    constructor(
      ua: UA,
      request: object,
      handlers: {
        onRequestTimeout(): void;
        onTransportError(): void;
        onReceiveResponse(response: IncomingResponse): void;
      },
    );
    send(): void;
  }
}

declare module "jssip/lib/Dialog.js" {
  import type { UA } from "jssip";
  import type { IncomingRequest, IncomingResponse } from "jssip/lib/SIPMessage.js";

  export interface DialogOwner {
    readonly _ua: UA;
    receiveRequest(request: IncomingRequest): void;
  }
  export default class Dialog {
    constructor(owner: DialogOwner, message: IncomingResponse, type: "UAC" | "UAS");
    readonly error?: string;
    readonly id: { call_id: string; local_tag: string; remote_tag: string };
    sendRequest(
      method: string,
      options?: {
        body?: string;
        extraHeaders?: string[];
        eventHandlers?: {
          onSuccessResponse?(response: IncomingResponse): void;
          onErrorResponse?(response: IncomingResponse): void;
          onDialogError?(response: IncomingResponse): void;
          onRequestTimeout?(): void;
          onTransportError?(): void;
        };
      },
    ): void;
    terminate(): void;
  }
}
