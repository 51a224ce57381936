import { io } from "socket.io-client";

import { BASE } from "../page";
import type { Envelope } from "../types";
import type { Join } from "./connection";

/** Where Socket.IO hangs, as the client wants to be told it: the host, and the path. */
export const SOCKET_IO = { url: new URL(BASE).origin, path: `${new URL(`${BASE}/`).pathname}socket.io/` };

/** The official client, which comes back by itself, and asks for the newest cursor each time. */
export const joinSocketIo: Join = (wish, ears) => {
  const socket = io(SOCKET_IO.url, {
    path: SOCKET_IO.path,
    // Each door of the page is a client of its own.
    forceNew: true,
    transports: ["websocket"],
    auth: (give) =>
      give({ token: wish.token, tenantId: wish.tenant, topics: wish.topics, cursor: wish.cursor() }),
  });
  socket.on("connected", ({ cursor }: { cursor?: string }) => {
    ears.joined();
    if (cursor !== undefined) ears.place(cursor);
  });
  socket.on("event", (event: Envelope) => void ears.event(event));
  socket.on("pong", ({ cursor }: { cursor: string }) => ears.place(cursor));
  socket.on("cursorExpired", () => ears.expired());
  socket.on("disconnect", (reason) => ears.lost(reason, reason === "io server disconnect"));
  socket.on("connect_error", (error: Error & { data?: { code: string } }) => {
    if (error.data?.code === "cursor-expired") ears.expired();
    else ears.lost(error.message, error.data !== undefined);
  });
  return () => {
    socket.off();
    socket.disconnect();
  };
};
