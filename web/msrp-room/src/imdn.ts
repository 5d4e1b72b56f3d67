/** Disposition notifications: that a message was delivered, or shown (RFC 5438). */

import { elements, escapeXml, parseXml, text } from "./xml.js";

export const IMDN_TYPE = "message/imdn+xml";
const NAMESPACE = "urn:ietf:params:xml:ns:imdn";

export type Disposition = "delivered" | "displayed" | "failed";

export interface Notification {
  /** The imdn.Message-ID of the message it is about. */
  readonly messageId: string;
  /** That message's DateTime. */
  readonly dateTime: string;
  readonly disposition: Disposition;
}

export function writeNotification(notification: Notification): string {
  const { disposition } = notification;
  const kind = disposition === "displayed" ? "display" : "delivery";
  return (
    `<?xml version="1.0" encoding="UTF-8"?>\n<imdn xmlns="${NAMESPACE}">` +
    `<message-id>${escapeXml(notification.messageId)}</message-id>` +
    `<datetime>${escapeXml(notification.dateTime)}</datetime>` +
    `<${kind}-notification><status><${disposition}/></status></${kind}-notification></imdn>`
  );
}

export function parseNotification(document: string): Notification | undefined {
  const root = parseXml(document);
  if (root?.localName !== "imdn") return undefined;
  const messageId = text(elements(root, "message-id")[0]);
  const kinds = ["delivery-notification", "display-notification"];
  const status = kinds
    .flatMap((kind) => elements(root, kind))
    .flatMap((kind) => elements(kind, "status"))[0];
  const all: Disposition[] = ["delivered", "displayed", "failed"];
  const disposition = all.find((it) => status !== undefined && elements(status, it).length > 0);
  if (messageId === "" || disposition === undefined) return undefined;
  return { messageId, dateTime: text(elements(root, "datetime")[0]), disposition };
}
