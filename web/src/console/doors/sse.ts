import { BASE, EVENT_TYPES } from "../page";
import type { Envelope } from "../types";
import type { Join } from "./connection";

const PAUSE_MS = 2000;

/**
 * The browser's EventSource, which comes back by itself with the id of the last event, a cursor. From an answer that is
 * no stream it does not come back, nor Firefox from a gateway that is away: whether there is a use is asked then.
 */
export const joinSse: Join = (wish, ears) => {
  let source: EventSource;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let left = false;

  const address = () => {
    const query = new URLSearchParams({ topics: wish.topics.join(",") });
    const given = { cursor: wish.cursor(), token: wish.token, tenant: wish.tenant };
    for (const [name, value] of Object.entries(given)) if (value !== undefined) query.set(name, value);
    return `${BASE}/v1/events?${query}`;
  };

  const askWhy = async () => {
    const status = await fetch(address(), { method: "HEAD" }).then(
      (response) => response.status,
      () => 503,
    );
    if (left) return;
    if (status === 410) ears.expired();
    else if (status >= 400 && status < 500 && status !== 429)
      ears.lost(`The store answered ${status}.`, true);
    else timer = setTimeout(connect, PAUSE_MS);
  };

  const connect = () => {
    source = new EventSource(address());
    source.addEventListener("open", () => ears.joined());
    source.addEventListener("cursor", ({ data }) => ears.place(JSON.parse(data).cursor));
    source.addEventListener("cursor-expired", () => ears.expired());
    source.addEventListener("error", () => {
      ears.lost("The connection broke.");
      if (source.readyState === EventSource.CLOSED) void askWhy();
    });
    // EventSource has no listener for events of all types.
    for (const type of EVENT_TYPES) {
      source.addEventListener(type, ({ data }) => void ears.event(JSON.parse(data) as Envelope));
    }
  };

  connect();
  return () => {
    left = true;
    clearTimeout(timer);
    source.close();
  };
};
