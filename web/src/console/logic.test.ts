// @vitest-environment node
import { describe, expect, it, vi } from "vitest";

import { coatOf, shade } from "./coat";
import { audienceOf, commandsFor, type Place } from "./commands";
import { uuid4 } from "./ids";
import type { Envelope } from "./types";

vi.mock("./page", () => ({ BASE: "", SAME_MACHINE: true }));
const { readValue, readWork } = await import("./quiet");

const EVENT: Envelope = {
  id: "1",
  eventType: "order.created",
  timestamp: "2026-03-03T16:00:00Z",
  tenantId: "t",
  topic: "orders/1/status",
  cursor: "c",
  data: {},
};
const PLACE: Place = {
  base: "http://127.0.0.1:8080",
  grpc: "127.0.0.1:50051",
  mqtt: "127.0.0.1:1883",
  tenant: undefined,
  username: "demo",
};

describe("the commands that follow an event", () => {
  const text = (place: Place) =>
    commandsFor(EVENT, place)
      .map((command) => command.text)
      .join("\n");

  it("name its topic at each door, and hold no token", () => {
    const commands = commandsFor(EVENT, PLACE);
    expect(commands).toHaveLength(8);
    for (const command of commands.slice(1)) expect(command.text).toContain(EVENT.topic);
    expect(commands[0]?.text).toBe(
      "export PETSTORE_TOKEN=$(petstore token demo --url http://127.0.0.1:8080)",
    );
  });

  it("name the tenant of a visitor in each door's own way", () => {
    const place = { ...PLACE, tenant: "T", username: undefined };
    for (const way of [
      "X-Tenant-ID: T",
      "?tenant=T",
      'tenantId: "T"',
      "tenants/T/orders",
      "x-tenant-id: T",
    ]) {
      expect(text(place)).toContain(way);
    }
    expect(text(place)).not.toContain("PETSTORE_TOKEN");
  });

  it("leave out the ports that are not known", () => {
    expect(text({ ...PLACE, grpc: undefined, mqtt: undefined })).not.toMatch(/mosquitto|buf/);
  });
});

describe("the audience of an event", () => {
  it("follows from what it is about", () => {
    expect(audienceOf({ ...EVENT, topic: "pets/1/status" })).toBe("Everybody");
    expect(audienceOf({ ...EVENT, topic: "adoptions/1/status" })).toContain("applicant");
    expect(audienceOf({ ...EVENT, topic: "webhooks/1/disabled" })).toBe("STAFF");
    expect(audienceOf(EVENT)).toContain("visitor");
  });
});

describe("the metrics", () => {
  const METRICS = `# HELP petstore_requests_total Requests.
petstore_requests_total{door="grpc",operation="GetPet",status="OK"} 2.0
petstore_requests_total{door="grpc",operation="GetPet",status="NOT_FOUND"} 1.0
petstore_requests_total{door="grpc",operation="ListPets",status="OK"} 5.0
petstore_request_seconds_sum{door="grpc",operation="GetPet"} 0.5
petstore_open{door="grpc"} 2.0
petstore_open{door="mcp"} 1.0
petstore_webhooks_succeeded_total 7.0
`;

  it("tell what each door answered, the most frequent first, and what it is serving", () => {
    const operations = [
      ["ListPets", 5],
      ["GetPet", 3],
    ];
    expect(readWork(METRICS)).toEqual(
      new Map([
        ["grpc", { total: 8, open: 2, operations }],
        ["mcp", { total: 0, open: 1, operations: [] }],
      ]),
    );
  });

  it("tell a single value, or 0", () => {
    expect(readValue(METRICS, "petstore_webhooks_succeeded_total")).toBe(7);
    expect(readValue(METRICS, "petstore_webhooks_failed_total")).toBe(0);
  });
});

describe("what is made here", () => {
  it("is a UUID of version 4", () => {
    expect(uuid4()).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  });

  it("is a coat in the pet's colours", () => {
    expect(coatOf("DOG", "black and tan")).toEqual({ main: "#3d3a3f", patch: "#c99a63" });
    expect(coatOf("CAT", undefined).patch).toBe(shade(coatOf("CAT", undefined).main, 0.84));
    expect(shade("#808080", 4)).toBe("#ffffff");
  });
});
