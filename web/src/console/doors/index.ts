/** The doors that a browser can join, each by its usual client. */

import { joinGraphql } from "./graphql";
import { joinSocketIo } from "./socketio";
import { joinSse } from "./sse";
import { joinWebSocket } from "./websocket";
import type { Kind } from "./door";

const IN_PAGE =
  "in this page, since browsers read ahead; with 50 of them it leaves, and comes back for the rest";

export const KINDS: readonly Kind[] = [
  {
    id: "sse",
    title: "Server-Sent Events",
    client: "EventSource",
    resumes: "the cursor is the id of the last event",
    waits: IN_PAGE,
    load: async () => joinSse,
  },
  {
    id: "websocket",
    title: "WebSocket",
    client: "WebSocket",
    resumes: "subscribe names the cursor",
    waits: IN_PAGE,
    load: async () => joinWebSocket,
  },
  {
    id: "socketio",
    title: "Socket.IO",
    client: "socket.io-client",
    resumes: "the handshake names the cursor",
    waits: IN_PAGE,
    load: async () => joinSocketIo,
  },
  {
    id: "graphql",
    title: "GraphQL subscription",
    client: "graphql-ws",
    resumes: "connection_init names the cursor",
    waits: IN_PAGE,
    load: async () => joinGraphql,
  },
  {
    id: "mqtt",
    title: "MQTT over WebSocket",
    client: "mqtt.js",
    resumes: "the session at the store keeps the place",
    waits: "at the store, which sends 16 messages ahead of what was acknowledged",
    // It is larger than everything else together.
    load: async () => (await import("./mqtt")).joinMqtt,
  },
];
