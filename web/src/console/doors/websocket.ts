import { WS_BASE } from "../page";
import type { Envelope } from "../types";
import type { Join } from "./connection";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

interface Frame {
  type: string;
  data: { code?: string; message?: string; cursor?: string } & Partial<Envelope>;
}

/** The browser's WebSocket. It does not come back by itself, so that this does. */
export const joinWebSocket: Join = (wish, ears) => {
  let socket: WebSocket;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let pause = FIRST_PAUSE_MS;

  const hear = ({ type, data }: Frame) => {
    if (type === "event") void ears.event(data as Envelope);
    else if (type === "cursorExpired" || data.code === "cursor-expired") ears.expired();
    else if (type === "ack") {
      pause = FIRST_PAUSE_MS;
      ears.joined();
    } else if (type === "error") ears.lost(data.message ?? "The store refused.");
    if (type !== "event" && data.cursor !== undefined) ears.place(data.cursor);
  };

  const connect = () => {
    const query = new URLSearchParams();
    if (wish.token !== undefined) query.set("token", wish.token);
    if (wish.tenant !== undefined) query.set("tenant", wish.tenant);
    socket = new WebSocket(`${WS_BASE}/v1/ws/events?${query}`);
    socket.onopen = () => {
      const cursor = wish.cursor();
      const data = { topics: wish.topics, ...(cursor === undefined ? {} : { cursor }) };
      socket.send(JSON.stringify({ type: "subscribe", id: 1, data }));
    };
    socket.onmessage = ({ data }) => hear(JSON.parse(data) as Frame);
    socket.onclose = ({ code }) => {
      // 44xx: the store does not want the caller (docs/live.md).
      const forever = code >= 4400 && code !== 4429;
      ears.lost(`The connection was closed with ${code}.`, forever);
      if (forever) return;
      timer = setTimeout(connect, pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    };
  };

  connect();
  return () => {
    clearTimeout(timer);
    socket.onclose = null;
    socket.onmessage = null;
    socket.close();
  };
};
