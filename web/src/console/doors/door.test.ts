import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { Envelope } from "../types";
import type { Ears, Wish } from "./connection";
import { Door, SLOW_MS } from "./door";

const WISH = { topics: ["#"], token: "t", tenant: undefined, session: "s" };

function event(id: number): Envelope {
  return { id: `e${id}`, eventType: "a", timestamp: "", tenantId: "", topic: "", cursor: `c${id}`, data: {} };
}

/** A door whose client is played by the test. */
class Played {
  readonly joins: { wish: Wish; ears: Ears; left: boolean }[] = [];
  readonly taken: string[] = [];
  readonly door: Door;

  constructor() {
    const kind = { id: "d", title: "D", client: "c", resumes: "", waits: "" };
    const load = async () => (wish: Wish, ears: Ears) => {
      const join = { wish, ears, left: false };
      this.joins.push(join);
      return () => {
        join.left = true;
      };
    };
    this.door = new Door({ ...kind, load }, (door, { id }) => {
      this.taken.push(id);
      return { delay: 1, missed: door.caughtUp !== undefined };
    });
  }

  async begin(): Promise<void> {
    this.door.begin(WISH);
    await vi.advanceTimersByTimeAsync(0);
    this.last.ears.joined();
  }

  get last() {
    const join = this.joins.at(-1);
    if (join === undefined) throw new Error("the door was not joined");
    return join;
  }
}

describe("a door", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("begins with what comes, without a cursor", async () => {
    const played = new Played();
    await played.begin();
    expect(played.last.wish.cursor()).toBeUndefined();
    expect(played.door.state.value).toBe("open");
  });

  it("asks for the newest cursor, whether an event or a heartbeat told it", async () => {
    const played = new Played();
    await played.begin();
    void played.last.ears.event(event(1));
    expect(played.last.wish.cursor()).toBe("c1");
    played.last.ears.place("c2");
    expect(played.last.wish.cursor()).toBe("c2");
  });

  it("comes back to the last event that was taken, and counts what it catches up on", async () => {
    const played = new Played();
    await played.begin();
    void played.last.ears.event(event(1));
    played.door.cut();
    expect([played.door.state.value, played.last.left]).toEqual(["cut", true]);
    void played.last.ears.event(event(2));
    expect(played.taken).toEqual(["e1"]);
    played.door.rejoin();
    await vi.advanceTimersByTimeAsync(0);
    expect(played.last.wish.cursor()).toBe("c1");
    void played.last.ears.event(event(2));
    expect([played.taken, played.door.caughtUp]).toEqual([["e1", "e2"], 1]);
  });

  it("takes one event at a time while it is slow, and the rest at once when it no longer is", async () => {
    const played = new Played();
    await played.begin();
    played.door.setSlow(true);
    for (const id of [1, 2, 3, 4]) void played.last.ears.event(event(id));
    expect(played.taken).toEqual(["e1"]);
    await vi.advanceTimersByTimeAsync(SLOW_MS);
    expect(played.taken).toEqual(["e1", "e2"]);
    played.door.setSlow(false);
    expect(played.taken).toEqual(["e1", "e2", "e3", "e4"]);
  });

  it("lets a client wait until its event was taken", async () => {
    const played = new Played();
    await played.begin();
    played.door.setSlow(true);
    void played.last.ears.event(event(1));
    let done = false;
    void played.last.ears.event(event(2)).then(() => {
      done = true;
    });
    await vi.advanceTimersByTimeAsync(0);
    expect(done).toBe(false);
    await vi.advanceTimersByTimeAsync(SLOW_MS);
    expect(done).toBe(true);
  });

  it("lets go of its connection when too much waits, and comes back for the rest", async () => {
    const played = new Played();
    await played.begin();
    played.door.setSlow(true);
    for (let id = 1; id <= 51; id += 1) void played.last.ears.event(event(id));
    expect(played.last.left).toBe(true);
    played.door.setSlow(false);
    await vi.advanceTimersByTimeAsync(0);
    expect(played.joins).toHaveLength(2);
    expect(played.last.wish.cursor()).toBe("c51");
  });

  it("forgets a place that is too old", async () => {
    const played = new Played();
    await played.begin();
    void played.last.ears.event(event(1));
    played.last.ears.expired();
    expect(played.door.state.value).toBe("cut");
    played.door.rejoin();
    await vi.advanceTimersByTimeAsync(0);
    expect(played.last.wish.cursor()).toBeUndefined();
  });

  it("goes on with a renewed token from where it was", async () => {
    const played = new Played();
    await played.begin();
    void played.last.ears.event(event(1));
    played.door.renew("u");
    await vi.advanceTimersByTimeAsync(0);
    expect([played.last.wish.token, played.last.wish.cursor()]).toEqual(["u", "c1"]);
  });
});
