/** The little of the DOM that the documents here need. */

/** The root element; `undefined`: it is no XML. */
export function parseXml(document: string): Element | undefined {
  try {
    const parsed = new DOMParser().parseFromString(document, "application/xml");
    const root = parsed.documentElement as Element | null;
    const broken = root === null || parsed.getElementsByTagName("parsererror").length > 0;
    return broken ? undefined : root;
  } catch {
    return undefined;
  }
}

/** The child elements of this name. */
export function elements(parent: Element, localName: string): Element[] {
  return Array.from(parent.childNodes).filter(
    (node): node is Element => node.nodeType === 1 && (node as Element).localName === localName,
  );
}

/** The text in an element, without the white space around it. */
export function text(element: Element | undefined): string {
  return element?.textContent?.trim() ?? "";
}

export function escapeXml(value: string): string {
  const names: Record<string, string> = { "<": "lt", ">": "gt", "&": "amp", '"': "quot", "'": "apos" };
  return value.replace(/[<>&"']/g, (character) => `&${names[character]};`);
}
