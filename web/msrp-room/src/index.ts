/** Chat rooms over MSRP and WebSocket. */

export { type ByteRange, type Chunk, ChunkError, parseByteRange, parseChunk, writeChunk } from "./chunk.js";
export {
  COMPOSING,
  type Composing,
  ComposingReceiver,
  ComposingSender,
  parseComposing,
  writeComposing,
} from "./composing.js";
export { type Address, type Cpim, CpimError, IMDN, cpimHeader, parseCpim, writeCpim } from "./cpim.js";
export { type Disposition, IMDN_TYPE, type Notification, parseNotification, writeNotification } from "./imdn.js";
export { jssip, type JsSipOptions } from "./jssip.js";
export {
  type ConnectionState,
  type Delivery,
  type Message,
  type Received,
  Room,
  type RoomEvents,
  type RoomOptions,
  type Saved,
  type Unsent,
} from "./room.js";
export { type Endpoint, type Participant, Roster } from "./roster.js";
export { parseDescription, writeDescription } from "./sdp.js";
export { type Content, MsrpError, Session, type SessionOptions } from "./session.js";
export {
  type Call,
  type CallHandlers,
  type DialogId,
  SipError,
  type Signalling,
  type Subscription,
} from "./signalling.js";
