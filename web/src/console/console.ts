/** Everything together: the doors, what came through them, and who follows. */

import { batch, effect, signal } from "@preact/signals";

import { Refusal } from "./api";
import { KINDS } from "./doors";
import { Door } from "./doors/door";
import { Feed } from "./feed";
import { uuid4 } from "./ids";
import { SAME_MACHINE } from "./page";
import { acting, forget, keepRenewing, me, tenant } from "./session";
import { apply, load } from "./store";
import type { Envelope } from "./types";

export const feed = new Feed(SAME_MACHINE);
/** Counts how often what came was shown: the feed's entries, and the doors' figures. */
export const shown = signal(0);
/** What went wrong or was done last. */
export const notice = signal<{ text: string; bad: boolean } | undefined>(undefined);
/** The event that the inspector shows. */
export const inspected = signal<string | undefined>(undefined);

/** How long what came is gathered before it is shown: drawing for each event would add to the delays of the others. */
const GATHER_MS = 30;
/** What everybody may see, and what users may: of orders and applications their own. Chats have a place of their own. */
const PUBLIC_TOPICS = ["pets/#", "inventory/#"];
const USERS_TOPICS = [...PUBLIC_TOPICS, "orders/#", "adoptions/#"];

let due = false;
let news: Envelope[] = [];

function show(): void {
  if (due) return;
  due = true;
  setTimeout(() => {
    due = false;
    batch(() => {
      for (const event of news.splice(0)) apply(event);
      shown.value += 1;
    });
  }, GATHER_MS);
}

export const doors: readonly Door[] = KINDS.map(
  (kind) =>
    new Door(kind, (door, event) => {
      const arrival = feed.arrive(kind.id, event, Date.now(), door.joinedAt);
      if (arrival?.first) news.push(event);
      show();
      return arrival;
    }),
);

/** Read the store, and follow it, as whoever the page acts as; the feed begins anew. */
export function begin(): void {
  feed.clear();
  news = [];
  inspected.value = undefined;
  show();
  for (const door of doors) {
    door.begin({
      topics: me.value === undefined ? PUBLIC_TOPICS : USERS_TOPICS,
      token: me.value?.token,
      tenant: tenant.value?.id,
      session: `console-${uuid4()}`,
    });
  }
  void attempt(async () => {
    await load().catch((error) => {
      // A login that was kept may have ended with the store that gave it.
      if (error instanceof Refusal && error.status === 401) forget();
      throw error;
    });
  });
}

/** Do something that may be refused; a refusal is shown. Says whether it was done. */
export async function attempt(action: () => Promise<unknown>): Promise<boolean> {
  try {
    await action();
    return true;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    notice.value = { text: error.message, bad: true };
    return false;
  }
}

export function start(): void {
  keepRenewing((login) => {
    if (me.value?.userId === login.userId) for (const door of doors) door.renew(login.token);
  });
  let was: string | undefined;
  effect(() => {
    const is = `${tenant.value?.id} ${acting.value} ${me.value?.userId}`;
    if (is === was) return;
    was = is;
    // Outside of this effect, which is about who acts alone.
    queueMicrotask(begin);
  });
}
