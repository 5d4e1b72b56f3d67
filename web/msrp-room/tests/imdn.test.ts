import { expect, it } from "vitest";

import { parseNotification, writeNotification } from "../src/imdn.js";

it("disposition notifications are read back (RFC 5438)", () => {
  for (const disposition of ["delivered", "displayed", "failed"] as const) {
    const notification = { messageId: "a<&>b", dateTime: "2026-11-30T12:00:00Z", disposition };
    expect(parseNotification(writeNotification(notification))).toEqual(notification);
  }
  expect(parseNotification("<imdn xmlns='urn:ietf:params:xml:ns:imdn'/>")).toBeUndefined();
});
