/**
 * SIP by JsSIP. Its calls are WebRTC's, so the INVITE is made here, of the parts that JsSIP's
 * own calls are made of.
 */

import JsSIP from "jssip";
import Dialog from "jssip/lib/Dialog.js";
import RequestSender from "jssip/lib/RequestSender.js";
import SIPMessage from "jssip/lib/SIPMessage.js";
import type { IncomingRequest, IncomingResponse } from "jssip/lib/SIPMessage.js";

import { randomId } from "./octets.js";
import {
  type Call,
  type CallHandlers,
  type Signalling,
  type SignallingHandlers,
  SipError,
  type Subscription,
} from "./signalling.js";

const SDP = "application/sdp";
const CONFERENCE_INFO = "application/conference-info+xml";
/** Seconds of a subscription. */
const EXPIRES = 600;
/** A subscription without a document for so long is begun anew. */
const FIRST_DOCUMENT_MS = 5_000;

export interface JsSipOptions {
  /** `wss://…`, with the sub-protocol `sip`. */
  readonly url: string;
  /** `sip:alice@example.com`. */
  readonly user: string;
  readonly displayName?: string;
  readonly password?: string;
  readonly register?: boolean;
}

/** Signalling over one WebSocket, which JsSIP opens again when it was lost. */
export function jssip(options: JsSipOptions): Signalling {
  return new JsSipSignalling(options);
}

class JsSipSignalling implements Signalling {
  readonly #ua: JsSIP.UA;

  constructor(options: JsSipOptions) {
    this.#ua = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(options.url)],
      uri: options.user,
      register: options.register ?? false,
      session_timers: false,
      connection_recovery_min_interval: 1,
      connection_recovery_max_interval: 8,
      ...(options.displayName === undefined ? {} : { display_name: options.displayName }),
      ...(options.password === undefined ? {} : { password: options.password }),
    });
  }

  start(handlers: SignallingHandlers): void {
    this.#ua.on("connected", () => handlers.connected());
    this.#ua.on("disconnected", () => handlers.disconnected());
    this.#ua.start();
  }

  get isConnected(): boolean {
    return this.#ua.isConnected();
  }

  call(
    room: string,
    sdp: string,
    headers: readonly string[],
    handlers: CallHandlers,
  ): Promise<Call> {
    return new JsSipCall(this.#ua, handlers).invite(room, sdp, headers);
  }

  subscribe(
    room: string,
    handlers: { document(body: string): void; ended(): void },
  ): Subscription {
    const subscriber = this.#ua.subscribe(room, "conference", CONFERENCE_INFO, {
      expires: EXPIRES,
    }) as unknown as SubscriberEvents;
    let over = false;
    const end = (): void => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      handlers.ended();
    };
    // JsSIP refuses a NOTIFY that overtakes the answer to its SUBSCRIBE (RFC 6665 §4.4.1).
    const timer = setTimeout(() => {
      subscriber.terminate();
      end();
    }, FIRST_DOCUMENT_MS);
    subscriber.on("notify", (_final, _request, body) => {
      clearTimeout(timer);
      if (!over) handlers.document(body);
    });
    subscriber.on("terminated", end);
    subscriber.subscribe();
    return {
      end: () => {
        if (over) return;
        over = true;
        clearTimeout(timer);
        subscriber.terminate();
      },
    };
  }

  stop(): void {
    this.#ua.stop();
  }
}

/** What JsSIP's Subscriber is, and its types do not say. */
interface SubscriberEvents {
  on(event: "notify", listener: (final: boolean, request: unknown, body: string) => void): void;
  on(event: "terminated", listener: () => void): void;
  subscribe(): void;
  terminate(): void;
}

/** The owner of a dialog, as JsSIP's Dialog wants one. */
class JsSipCall implements Call {
  /** JsSIP's Dialog reads it. */
  readonly _ua: JsSIP.UA;
  answer = "";
  #dialog: Dialog | undefined;
  #sdp = "";

  constructor(
    ua: JsSIP.UA,
    private readonly handlers: CallHandlers,
  ) {
    this._ua = ua;
  }

  get id(): Call["id"] {
    const id = this.#dialog?.id;
    return {
      callId: id?.call_id ?? "",
      localTag: id?.local_tag ?? "",
      remoteTag: id?.remote_tag ?? "",
    };
  }

  invite(room: string, sdp: string, headers: readonly string[]): Promise<Call> {
    this.#sdp = sdp;
    const target = JsSIP.Utils.normalizeTarget(room);
    if (target === undefined) return Promise.reject(new SipError(416, "no room address"));
    const request = new SIPMessage.InitialOutgoingInviteRequest(
      target,
      this._ua,
      { from_tag: randomId(5) },
      [`Contact: ${this._ua.contact.toString({ outbound: true })}`, `Content-Type: ${SDP}`, ...headers],
      sdp,
    );
    return new Promise((resolve, reject) => {
      const failed = (status: number, reason: string): void => reject(new SipError(status, reason));
      new RequestSender(this._ua, request, {
        onRequestTimeout: () => failed(408, "Request Timeout"),
        onTransportError: () => failed(503, "no connection"),
        onReceiveResponse: (response) => {
          if (response.status_code < 200) return;
          if (response.status_code >= 300) {
            failed(response.status_code, reason(response));
            return;
          }
          const dialog = new Dialog(this, response, "UAC");
          if (dialog.error !== undefined) {
            failed(502, dialog.error);
            return;
          }
          this.#dialog = dialog;
          dialog.sendRequest("ACK");
          this.answer = response.body ?? "";
          resolve(this);
        },
      }).send();
    });
  }

  refresh(sdp: string): Promise<void> {
    this.#sdp = sdp;
    const dialog = this.#dialog;
    if (dialog === undefined) return Promise.reject(new SipError(481, "no dialog"));
    return new Promise((resolve, reject) => {
      const failed = (response: IncomingResponse): void =>
        reject(new SipError(response.status_code, response.reason_phrase));
      dialog.sendRequest("INVITE", {
        body: sdp,
        extraHeaders: [`Contact: ${this._ua.contact.toString()}`, `Content-Type: ${SDP}`],
        eventHandlers: {
          onSuccessResponse: (response) => {
            // Provisional responses come here, too.
            if (response.status_code < 200) return;
            dialog.sendRequest("ACK");
            resolve();
          },
          onErrorResponse: failed,
          onDialogError: failed,
          onRequestTimeout: () => reject(new SipError(408, "Request Timeout")),
          onTransportError: () => reject(new SipError(503, "no connection")),
        },
      });
    });
  }

  bye(): void {
    const dialog = this.#dialog;
    this.#dialog = undefined;
    if (dialog === undefined) return;
    if (this._ua.isConnected()) dialog.sendRequest("BYE");
    dialog.terminate();
  }

  /** A request within the dialog: JsSIP's Dialog calls this. */
  receiveRequest(request: IncomingRequest): void {
    const contact = `Contact: ${this._ua.contact.toString()}`;
    switch (request.method) {
      case "ACK":
        return;
      case "BYE":
        request.reply(200);
        this.#dialog?.terminate();
        this.#dialog = undefined;
        this.handlers.ended(request.getHeader("Reason") ?? "");
        return;
      case "INVITE":
      case "UPDATE": {
        const body = request.body ?? "";
        const answer = body === "" ? this.#sdp : this.handlers.offered(body);
        if (answer === undefined) {
          request.reply(488);
          return;
        }
        this.#sdp = answer;
        const empty = request.method === "UPDATE" && body === "";
        if (empty) request.reply(200, null, [contact]);
        else request.reply(200, null, [contact, `Content-Type: ${SDP}`], answer);
        return;
      }
      default:
        request.reply(request.method === "INFO" ? 469 : 405);
    }
  }

  /** JsSIP asks these of what it takes for a WebRTC call. */
  isEnded(): boolean {
    return this.#dialog === undefined;
  }
}

function reason(response: IncomingResponse): string {
  const warning = /^\d{3} \S+ "(.*)"$/.exec(response.getHeader("Warning") ?? "")?.[1];
  return warning ?? response.reason_phrase;
}
