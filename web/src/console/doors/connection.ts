/** What all doors have in common: how one is joined, and what it tells. */

import type { Envelope } from "../types";

export interface Wish {
  topics: readonly string[];
  token: string | undefined;
  tenant: string | undefined;
  /** The cursor to go on from, asked at each connection: clients reconnect by themselves. */
  cursor(): string | undefined;
  /** The name under which a door that keeps the place itself knows this page. */
  session: string;
}

export interface Ears {
  joined(): void;
  /** An event came; settled once the page has taken it, for clients that can let the store wait meanwhile. */
  event(event: Envelope): Promise<void>;
  /** The place in the log that the door has come to, told on occasion without an event. */
  place(cursor: string): void;
  /** The connection broke; the client tries again by itself unless `forever`. */
  lost(reason: string, forever?: boolean): void;
  /** The place is too old, or not of this log: what came since is gone. */
  expired(): void;
}

/** Joins a door; what it returns leaves it. */
export type Join = (wish: Wish, ears: Ears) => () => void;
