import { BASE, EVENT_TYPES } from "../page";
import type { Envelope } from "../types";
import { type Join, TOPICS } from "./connection";

/** The browser's EventSource, which comes back by itself with the id of the last event, a cursor. */
export const joinSse: Join = (wish, ears) => {
  const query = new URLSearchParams({ topics: TOPICS.join(",") });
  const given = { cursor: wish.cursor(), token: wish.token, tenant: wish.tenant };
  for (const [name, value] of Object.entries(given)) if (value !== undefined) query.set(name, value);
  const source = new EventSource(`${BASE}/v1/events?${query}`);
  source.addEventListener("open", () => ears.joined());
  source.addEventListener("cursor", ({ data }) => ears.place(JSON.parse(data).cursor));
  source.addEventListener("cursor-expired", () => ears.expired());
  source.addEventListener("error", () => {
    const forever = source.readyState === EventSource.CLOSED;
    ears.lost(forever ? "The store ended the stream." : "The connection broke.", forever);
  });
  // EventSource has no listener for events of all types.
  for (const type of EVENT_TYPES) {
    source.addEventListener(type, ({ data }) => void ears.event(JSON.parse(data) as Envelope));
  }
  return () => source.close();
};
