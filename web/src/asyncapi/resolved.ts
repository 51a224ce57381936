/** AsyncAPI documents as the component wants them. */

type Value = unknown;
type Entries = Record<string, Value>;

/** An AsyncAPI document, version 3. */
export interface Document extends Entries {
  channels: Record<string, Entries>;
  operations: Record<string, Entries & { channel: { $ref: string } }>;
}

/** A channel has a part of its own; the many of one door that differ in a parameter's place share one, named as the door is. */
function partOf({ channels }: Document, id: string): string {
  return channels[id]?.parameters === undefined ? id : (id.split(".")[0] ?? id);
}

/** The parts in which a document is shown. */
export function partsOf(document: Document): string[] {
  return [...new Set(Object.keys(document.channels).map((id) => partOf(document, id)))];
}

/** One part of a document, itself a document. */
export function only(document: Document, part: string): Document {
  const isOf = (id: string) => partOf(document, id) === part;
  const channels = Object.entries(document.channels).filter(([id]) => isOf(id));
  const operations = Object.entries(document.operations).filter(([, { channel }]) =>
    isOf(channel.$ref.slice("#/channels/".length)),
  );
  return { ...document, channels: Object.fromEntries(channels), operations: Object.fromEntries(operations) };
}

const isEntries = (value: Value): value is Entries =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * A document with its references resolved, as AsyncAPI's parser gives it. The parser itself compiles the schemas that it
 * checks documents with, which the page's policy forbids, and the gateway's own document is checked by its tests.
 */
export function resolved(document: Document): Entries {
  const copies = new Map<Entries, Entries>();

  const find = (pointer: string): Value =>
    pointer
      .slice(2)
      .split("/")
      .map((part) => decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~"))
      .reduce<Value>((value, part) => (isEntries(value) ? value[part] : undefined), document);

  const visit = (value: Value): Value => {
    if (Array.isArray(value)) return value.map(visit);
    if (!isEntries(value)) return value;
    if (typeof value.$ref === "string") return visit(find(value.$ref));
    const known = copies.get(value);
    if (known !== undefined) return known;
    const copy: Entries = {};
    // Before its members: they may refer to it.
    copies.set(value, copy);
    for (const [name, member] of Object.entries(value)) copy[name] = visit(member);
    return copy;
  };

  const whole = visit(document) as Entries;
  const { channels, operations } = whole as { channels: Entries; operations: Entries };
  name(channels);
  name(operations);
  for (const channel of Object.values(channels)) name((channel as { messages: Entries }).messages);
  return { ...whole, "x-parser-spec-parsed": true, "x-parser-api-version": 3 };
}

/** Objects whose key is their id are told it. */
function name(objects: Entries): void {
  for (const [id, object] of Object.entries(objects)) {
    (object as Entries)["x-parser-unique-object-id"] ??= id;
  }
}
