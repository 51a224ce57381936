import { describe, expect, it } from "vitest";

import { Feed, KEPT } from "./feed";
import type { Envelope } from "./types";

const NOW = Date.parse("2026-03-03T16:00:00.100Z");

function event(id: string, timestamp = "2026-03-03T16:00:00.000Z"): Envelope {
  return {
    id,
    eventType: "pet.created",
    timestamp,
    tenantId: "t",
    topic: "pets/1",
    cursor: `c${id}`,
    data: {},
  };
}

describe("the feed", () => {
  it("measures from the event's timestamp where there is one clock", () => {
    const feed = new Feed(true);
    expect(feed.arrive("sse", event("1"), NOW, 0)).toEqual({ delay: 100, missed: false, first: true });
    expect(feed.arrive("mqtt", event("1"), NOW + 20, 0)).toEqual({ delay: 120, missed: false, first: false });
  });

  it("measures from the first door where the clocks are two", () => {
    const feed = new Feed(false);
    expect(feed.arrive("sse", event("1", "2020-01-01T00:00:00Z"), NOW, 0)?.delay).toBe(0);
    expect(feed.arrive("mqtt", event("1", "2020-01-01T00:00:00Z"), NOW + 20, 0)?.delay).toBe(20);
  });

  it("takes an event once from each door", () => {
    const feed = new Feed(true);
    feed.arrive("sse", event("1"), NOW, 0);
    expect(feed.arrive("sse", event("1"), NOW + 1, 0)).toBeUndefined();
    expect(feed.entries).toHaveLength(1);
  });

  it("makes another entry for each arrival, so that a change can be seen", () => {
    const feed = new Feed(true);
    feed.arrive("sse", event("1"), NOW, 0);
    const [before] = feed.entries;
    feed.arrive("mqtt", event("1"), NOW + 1, 0);
    expect(feed.entries[0]).not.toBe(before);
  });

  it("knows what a door missed, and what it is behind", () => {
    const feed = new Feed(true);
    feed.arrive("sse", event("1"), NOW, 0);
    feed.arrive("sse", event("2"), NOW + 1, 0);
    expect(feed.behind("mqtt", NOW)).toBe(2);
    expect(feed.behind("mqtt", NOW + 1)).toBe(1);
    expect(feed.arrive("mqtt", event("1"), NOW + 500, NOW + 400)?.missed).toBe(true);
    expect(feed.behind("mqtt", NOW)).toBe(1);
  });

  it("knows that no door saw what happened while all were cut", () => {
    expect(new Feed(true).arrive("sse", event("1"), NOW + 500, NOW + 400)?.missed).toBe(true);
  });

  it("keeps a bounded number of events, the newest", () => {
    const feed = new Feed(true);
    for (let index = 0; index <= KEPT; index += 1) feed.arrive("sse", event(String(index)), NOW, 0);
    expect(feed.entries).toHaveLength(KEPT);
    expect(feed.entries[0]?.event.id).toBe("1");
  });

  it("counts each second's events once, and the slowest door's delay", () => {
    const feed = new Feed(true);
    feed.arrive("sse", event("1"), NOW, 0);
    feed.arrive("mqtt", event("1"), NOW + 50, 0);
    feed.arrive("graphql", event("1"), NOW + 70, NOW + 60);
    expect(feed.seconds(NOW).at(-1)).toEqual({ events: 1, slowest: 150 });
    expect(feed.seconds(NOW + 1000).at(-2)).toEqual({ events: 1, slowest: 150 });
    expect(feed.seconds(NOW + 120_000).every(({ events }) => events === 0)).toBe(true);
  });
});
