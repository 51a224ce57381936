import { createClient } from "graphql-ws";

import { WS_BASE } from "../page";
import type { Envelope } from "../types";
import type { Join } from "./connection";

const SUBSCRIPTION = `subscription Follow($topics: [String!]!) {
  events(topics: $topics) { id eventType timestamp tenantId topic cursor data }
}`;

/** graphql-ws, which comes back by itself: the cursor is part of the connection's payload. */
export const joinGraphql: Join = (wish, ears) => {
  const client = createClient({
    url: `${WS_BASE}/v1/graphql`,
    connectionParams: () => {
      const payload = { token: wish.token, tenantId: wish.tenant, cursor: wish.cursor() };
      return Object.fromEntries(Object.entries(payload).filter(([, value]) => value !== undefined));
    },
    retryAttempts: Number.POSITIVE_INFINITY,
    shouldRetry: (problem) =>
      !(problem instanceof CloseEvent && problem.code >= 4400 && problem.code !== 4429),
    on: {
      // One comes unasked once the subscription is open, and others with the place from time to time.
      pong: (received, payload) => {
        if (!received) return;
        ears.joined();
        if (typeof payload?.cursor === "string") ears.place(payload.cursor);
      },
      ping: (received, payload) => {
        if (received && typeof payload?.cursor === "string") ears.place(payload.cursor);
      },
      closed: (event) => ears.lost(`The connection was closed with ${(event as CloseEvent).code}.`),
    },
  });
  const end = client.subscribe<{ events: Envelope }>(
    { query: SUBSCRIPTION, variables: { topics: wish.topics } },
    {
      next: ({ data, errors }) => {
        if (errors?.some((error) => error.extensions?.code === "CURSOR_EXPIRED")) ears.expired();
        if (data) void ears.event(data.events);
      },
      error: (problem) => {
        const errors = Array.isArray(problem) ? problem : [];
        if (errors.some((error) => error.extensions?.code === "CURSOR_EXPIRED")) ears.expired();
        else ears.lost(errors[0]?.message ?? "The store ended the subscription.", true);
      },
      complete: () => {},
    },
  );
  return () => {
    end();
    void client.dispose();
  };
};
