// The JavaScript clients of GraphQL: `node graphql.mjs <ws|sse|audit> <url> <request as JSON> <token> <count>`.
//
// It prints each answer as a line of JSON, and ends after so many of them or when the server completes. `audit` prints
// what each audit of GraphQL over HTTP found.

import { auditServer } from "graphql-http";
import { createClient as createStream } from "graphql-sse";
import { createClient as createSocket } from "graphql-ws";
import WebSocket from "ws";

const [, , kind, url, request, token, count] = process.argv;
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const bearer = token ? { Authorization: `Bearer ${token}` } : {};

if (kind === "audit") {
  for (const { id, name, status, reason } of await auditServer({ url })) say({ id, name, status, reason });
} else {
  const client =
    kind === "ws"
      ? createSocket({ url: url.replace(/^http/, "ws"), webSocketImpl: WebSocket, connectionParams: bearer, retryAttempts: 0 })
      : createStream({ url, headers: bearer, retryAttempts: 0 });
  let left = Number(count);
  try {
    for await (const answer of client.iterate(JSON.parse(request))) {
      say(answer);
      if (--left === 0) break;
    }
    say({ end: "complete" });
  } catch (error) {
    say({ end: "error", errors: Array.isArray(error) ? error : null, code: error.code ?? null, reason: String(error.reason ?? error.message ?? "") });
  }
  client.dispose();
}
