/** What a room needs of SIP. `jssip.ts` has it over JsSIP; tests have their own. */

/** A final response that is none of success, or that there was none (408). */
export class SipError extends Error {
  constructor(
    readonly status: number,
    readonly reason: string,
  ) {
    super(`${status} ${reason}`);
  }
}

export interface DialogId {
  readonly callId: string;
  readonly localTag: string;
  readonly remoteTag: string;
}

/** A call to a room. */
export interface Call {
  readonly id: DialogId;
  /** The room's description. */
  readonly answer: string;
  /** Tells the other side where we are now, with the same description. */
  refresh(sdp: string): Promise<void>;
  bye(): void;
}

export interface CallHandlers {
  /** The room has ended the call. */
  ended(reason: string): void;
  /** The room offers a new description; our answer. */
  offered(sdp: string): string | undefined;
}

export interface Subscription {
  end(): void;
}

export interface SignallingHandlers {
  connected(): void;
  disconnected(): void;
}

export interface Signalling {
  start(handlers: SignallingHandlers): void;
  readonly isConnected: boolean;
  /** @throws SipError */
  call(room: string, sdp: string, headers: readonly string[], handlers: CallHandlers): Promise<Call>;
  /** Conference-info documents of a room, until they end. */
  subscribe(
    room: string,
    handlers: { document(body: string): void; ended(): void },
  ): Subscription;
  stop(): void;
}
