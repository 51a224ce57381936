// Stock clients of GraphQL that come back by themselves: `node reconnect.mjs <url> <request as JSON>`.
//
// Each follows the request, keeps the last cursor that it was told, and hands it over when it connects again, in the way
// that its documentation has it. A line of standard input says whether they may connect, and with which token:
// {"open": true, "token": null}. They print {"client", "place"} when they are told where they stand, and
// {"client", "answer"}, {"client", "error"} or {"client", "end"}.

import { createInterface } from "node:readline";
import { ApolloClient, InMemoryCache, gql } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { Client as UrqlClient, subscriptionExchange } from "@urql/core";
import { EventSource } from "eventsource";
import { createClient as createStream } from "graphql-sse";
import { createClient as createSocket } from "graphql-ws";
import WebSocket from "ws";

const [, , url, text] = process.argv;
const request = JSON.parse(text);
const socketUrl = url.replace(/^http/, "ws");
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

let gate = { open: false, token: null };
let waiting = [];
createInterface({ input: process.stdin }).on("line", (line) => {
  gate = JSON.parse(line);
  if (gate.open) for (const go of waiting.splice(0)) go();
});
const opened = () => (gate.open ? Promise.resolve() : new Promise((go) => waiting.push(go)));

// What every client does with what it is told.
function listener(client) {
  const at = { cursor: undefined };
  return {
    at,
    next(answer) {
      at.cursor = answer.extensions?.cursor ?? at.cursor;
      say({ client, answer });
    },
    place(cursor) {
      at.cursor = cursor;
      say({ client, place: cursor });
    },
    error: (error) => say({ client, error: String(error?.message ?? error?.reason ?? error), code: error?.code }),
    complete: () => say({ client, end: true }),
  };
}

const socketOf = ({ at, place }) =>
  createSocket({
    url: async () => (await opened(), socketUrl),
    webSocketImpl: WebSocket,
    connectionParams: () => ({ cursor: at.cursor, token: gate.token }),
    retryAttempts: Infinity,
    retryWait: opened,
    on: { pong: (_, payload) => payload?.cursor && place(payload.cursor) },
  });

const plain = listener("graphql-ws");
socketOf(plain).subscribe(request, plain);

const apollo = listener("apollo");
new ApolloClient({ link: new GraphQLWsLink(socketOf(apollo)), cache: new InMemoryCache() })
  .subscribe({ query: gql(request.query), variables: request.variables })
  .subscribe({ ...apollo, next: (answer) => (answer.error ? apollo.error(answer.error) : apollo.next(answer)) });

const urql = listener("urql");
const urqlSocket = socketOf(urql);
new UrqlClient({
  url,
  exchanges: [
    subscriptionExchange({
      forwardSubscription: (operation) => ({
        subscribe: (sink) => ({ unsubscribe: urqlSocket.subscribe({ ...operation, query: operation.query ?? "" }, sink) }),
      }),
    }),
  ],
})
  .subscription(request.query, request.variables)
  .subscribe((answer) => (answer.error ? urql.error(answer.error) : urql.next(answer)));

const stream = listener("graphql-sse");
createStream({
  url: async () => (await opened(), url),
  headers: () => ({
    ...(stream.at.cursor && { "Last-Event-ID": stream.at.cursor }),
    ...(gate.token && { Authorization: `Bearer ${gate.token}` }),
  }),
  retryAttempts: Infinity,
  retry: opened,
}).subscribe(request, stream);

// Browsers send Last-Event-ID of themselves, and so does this one.
const source = listener("eventsource");
const query = new URLSearchParams({ query: request.query, variables: JSON.stringify(request.variables) });
const events = new EventSource(`${url}?${query}`, {
  fetch: async (address, init) => {
    await opened();
    const headers = { ...init.headers, ...(gate.token && { Authorization: `Bearer ${gate.token}` }) };
    return fetch(address, { ...init, headers });
  },
});
events.addEventListener("message", (event) => source.place(event.lastEventId));
events.addEventListener("next", (event) => source.next(JSON.parse(event.data)));
events.addEventListener("complete", () => (events.close(), source.complete()));
