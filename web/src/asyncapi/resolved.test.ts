import { describe, expect, it } from "vitest";

import { type Document, only, partsOf, resolved } from "./resolved";

const DOCUMENT: Document = {
  channels: {
    "a.one": { messages: { said: { $ref: "#/components/messages/said" } } },
    "b.two": { messages: {}, parameters: {} },
    "b.three": { messages: {}, parameters: {} },
  },
  operations: {
    hear: {
      channel: { $ref: "#/channels/a.one" },
      messages: [{ $ref: "#/channels/a.one/messages/said" }],
    },
    tell: { channel: { $ref: "#/channels/b.two" } },
  },
  components: {
    messages: { said: { payload: { $ref: "#/components/schemas/a~1b" } } },
    schemas: { "a/b": { properties: { again: { $ref: "#/components/schemas/a~1b" } } } },
  },
};

describe("a document", () => {
  it("is shown in parts", () => {
    expect(partsOf(DOCUMENT)).toEqual(["a.one", "b"]);
    const part = only(DOCUMENT, "b");
    expect(Object.keys(part.channels)).toEqual(["b.two", "b.three"]);
    expect(Object.keys(part.operations)).toEqual(["tell"]);
  });

  it("has its references resolved, each object once, and circles closed", () => {
    // biome-ignore lint/suspicious/noExplicitAny: any place in it
    const whole = resolved(DOCUMENT) as any;
    expect(whole.operations.hear.channel).toBe(whole.channels["a.one"]);
    const said = whole.channels["a.one"].messages.said;
    expect(whole.operations.hear.messages[0]).toBe(said);
    expect(said.payload.properties.again).toBe(said.payload);
    expect(said["x-parser-unique-object-id"]).toBe("said");
  });
});
