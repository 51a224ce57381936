/** What came through which door, and when. */

import type { Envelope } from "./types";

/** How an event came through one door. */
export interface Arrival {
  /** Whether no other door had shown it before. */
  first: boolean;
  /** Milliseconds, from what `Feed` measures. */
  delay: number;
  /** Whether it had happened before the door was joined, so that the door caught up on it. */
  missed: boolean;
}

/** Never changed: an arrival makes another one, so that whoever shows it knows by comparing. */
export interface Entry {
  readonly event: Envelope;
  /** When it came through the first door: milliseconds since 1970. */
  readonly first: number;
  readonly arrivals: ReadonlyMap<string, Arrival>;
}

/** How many events are kept: older ones are dropped. */
export const KEPT = 200;
const SECONDS = 60;

/** One second: how many events were new in it, and the greatest delay that any door had. */
export interface Second {
  events: number;
  slowest: number;
}

/**
 * Delays are measured from the events' own timestamps where page and store have one clock; elsewhere from the
 * first door that showed the event, since two clocks tell nothing in milliseconds.
 */
export class Feed {
  readonly #sameClock: boolean;
  readonly #entries = new Map<string, Entry>();
  readonly #seconds = new Map<number, Second>();

  constructor(sameClock: boolean) {
    this.#sameClock = sameClock;
  }

  /** The events that are kept, in the order in which they came first. */
  get entries(): readonly Entry[] {
    return [...this.#entries.values()];
  }

  /** An event came through a door that was joined at a time. Undefined if that door has shown it already. */
  arrive(door: string, event: Envelope, now: number, joinedAt: number): Arrival | undefined {
    const known = this.#entries.get(event.id);
    if (known?.arrivals.has(door)) return undefined;
    const first = known?.first ?? now;
    const since = this.#sameClock ? Math.min(Date.parse(event.timestamp), first) : first;
    const arrival = {
      delay: Math.max(0, Math.round(now - since)),
      missed: since < joinedAt,
      first: known === undefined,
    };
    this.#entries.set(event.id, { event, first, arrivals: new Map(known?.arrivals).set(door, arrival) });
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > KEPT && oldest !== undefined) this.#entries.delete(oldest);
    this.#count(now, arrival);
    return arrival;
  }

  /** How many of the events that came since a time a door has not shown. */
  behind(door: string, since: number): number {
    let count = 0;
    for (const entry of this.#entries.values()) {
      if (entry.first >= since && !entry.arrivals.has(door)) count += 1;
    }
    return count;
  }

  /** The seconds before a time, oldest first. */
  seconds(now: number): Second[] {
    const last = Math.floor(now / 1000);
    return Array.from(
      { length: SECONDS },
      (_, index) => this.#seconds.get(last - SECONDS + 1 + index) ?? { events: 0, slowest: 0 },
    );
  }

  clear(): void {
    this.#entries.clear();
  }

  #count(now: number, arrival: Arrival): void {
    const at = Math.floor(now / 1000);
    const second = this.#seconds.get(at) ?? { events: 0, slowest: 0 };
    this.#seconds.set(at, second);
    if (arrival.first) second.events += 1;
    // What a door was not there for is not its delay.
    if (!arrival.missed) second.slowest = Math.max(second.slowest, arrival.delay);
    for (const old of this.#seconds.keys()) if (old <= at - SECONDS) this.#seconds.delete(old);
  }
}
