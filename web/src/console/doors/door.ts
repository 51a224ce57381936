/** One door as the page shows it: joined, cut, or slowed. */

import { signal } from "@preact/signals";

import type { Envelope } from "../types";
import type { Join, Wish } from "./connection";

export type State = "cut" | "joining" | "open" | "lost";

export interface Kind {
  id: string;
  title: string;
  /** The program that is the door's client in this page. */
  client: string;
  /** How it comes back to where it was. */
  resumes: string;
  /** Where events wait while the door is slow. */
  waits: string;
  /** Loads the client, when the door is joined first. */
  load(): Promise<Join>;
}

/** What a slow door takes: one event in this many milliseconds. */
export const SLOW_MS = 1000;
/** A slow door lets go of its connection when this many wait, and comes back when it has taken them. */
const MOST_WAITING = 50;

/** Takes an event that came through a door; says whether the door had missed it, undefined for a repetition. */
export type Take = (door: Door, event: Envelope) => { delay: number; missed: boolean } | undefined;

export class Door {
  readonly kind: Kind;
  readonly state = signal<State>("cut");
  readonly reason = signal("");
  readonly slow = signal(false);
  /** Milliseconds of the last event; this and the next are shown with the feed. */
  delay: number | undefined;
  taken = 0;
  /** How many events the door caught up on since it was joined again the last time. */
  caughtUp: number | undefined;
  /** Since when it has followed the store, and when it was joined last: milliseconds since 1970. */
  since = 0;
  joinedAt = 0;

  readonly #take: Take;
  #wish: Omit<Wish, "cursor"> | undefined;
  #leave: (() => void) | undefined;
  /** Which join is meant: what an earlier one tells is not heard. */
  #turn = 0;
  /** The place up to which events came, and up to which they were taken. */
  #received: string | undefined;
  #reached: string | undefined;
  #inbox: { event: Envelope; done: () => void }[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #paused = false;

  constructor(kind: Kind, take: Take) {
    this.kind = kind;
    this.#take = take;
  }

  /** Follow the store as somebody, from now on. */
  begin(wish: Omit<Wish, "cursor">): void {
    this.cut();
    this.#wish = wish;
    this.#reached = undefined;
    this.since = Date.now();
    this.taken = 0;
    this.delay = undefined;
    this.caughtUp = undefined;
    void this.#join();
  }

  /** Go on with a token that was renewed. */
  renew(token: string): void {
    if (this.#wish === undefined) return;
    this.#wish = { ...this.#wish, token };
    if (this.#leave === undefined) return;
    this.cut();
    void this.#join();
  }

  /** Break the connection, as a bad network does. */
  cut(): void {
    this.#drop();
    this.#paused = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const { done } of this.#inbox.splice(0)) done();
    this.state.value = "cut";
  }

  /** Come back, and go on from the last event that was taken. */
  rejoin(): void {
    this.caughtUp = 0;
    void this.#join();
  }

  setSlow(slow: boolean): void {
    this.slow.value = slow;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#work();
  }

  async #join(): Promise<void> {
    const wish = this.#wish;
    if (wish === undefined) return;
    this.#turn += 1;
    const turn = this.#turn;
    const current = () => turn === this.#turn;
    this.#received = this.#reached;
    this.state.value = "joining";
    const join = await this.kind.load();
    if (!current()) return;
    this.joinedAt = Date.now();
    this.#leave = join(
      { ...wish, cursor: () => this.#received },
      {
        joined: () => {
          if (!current()) return;
          if (this.state.value === "lost") this.joinedAt = Date.now();
          this.state.value = "open";
        },
        event: (event) => (current() ? this.#receive(event) : Promise.resolve()),
        place: (cursor) => {
          if (current()) this.#come(cursor);
        },
        lost: (reason, forever = false) => {
          if (!current()) return;
          if (forever) this.cut();
          this.state.value = forever ? "cut" : "lost";
          this.reason.value = reason;
        },
        expired: () => {
          if (!current()) return;
          this.cut();
          this.#reached = undefined;
          this.reason.value = "The place was too old: joining begins with what comes now.";
        },
      },
    );
  }

  #drop(): void {
    this.#turn += 1;
    this.#leave?.();
    this.#leave = undefined;
  }

  #receive(event: Envelope): Promise<void> {
    this.#received = event.cursor;
    const taken = new Promise<void>((done) => this.#inbox.push({ event, done }));
    if (this.#inbox.length >= MOST_WAITING && this.slow.value) {
      this.#paused = true;
      this.#drop();
    }
    this.#work();
    return taken;
  }

  #come(cursor: string): void {
    this.#received = cursor;
    if (this.#inbox.length === 0) this.#reached = cursor;
  }

  #work(): void {
    while (this.#timer === undefined) {
      const next = this.#inbox.shift();
      if (next === undefined) break;
      this.#reached = next.event.cursor;
      const arrival = this.#take(this, next.event);
      next.done();
      if (arrival !== undefined) {
        this.taken += 1;
        if (!arrival.missed || this.slow.value) this.delay = arrival.delay;
        if (arrival.missed && this.caughtUp !== undefined) this.caughtUp += 1;
      }
      if (!this.slow.value) continue;
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#work();
      }, SLOW_MS);
    }
    if (this.#paused && this.#inbox.length === 0) {
      this.#paused = false;
      void this.#join();
    }
  }
}
