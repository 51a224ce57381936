// The peer of the Socket.IO door: a plain Node server on `socket.io`, one emit() for all clients, as its documentation
// shows. Compression is off, as it is by default. It is driven like broadcast.mjs.

import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { Server } from "socket.io";

const SIZE = 300;
const LEAD = 20;
const HIGH_WATER = 1024 * 1024;

const http = createServer();
const io = new Server(http, { transports: ["websocket"] });

function message(counter, last) {
  const mark = `^${String(counter).padStart(10, "0")}${last ? "!" : "."}`;
  return { text: ("x".repeat(LEAD) + mark).padEnd(SIZE - 20, "x") };
}

function fullest() {
  let most = 0;
  for (const socket of io.sockets.sockets.values()) {
    most = Math.max(most, socket.conn.transport.socket?.bufferedAmount ?? 0, socket.conn.writeBuffer.length * SIZE);
  }
  return most;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function feed(seconds) {
  const end = performance.now() + seconds * 1000;
  let counter = 0;
  let last = false;
  while (!last) {
    last = performance.now() >= end;
    io.emit("event", message(++counter, last));
    do await turn();
    while (fullest() > HIGH_WATER);
  }
  console.log(`fed ${counter}`);
}

createInterface({ input: process.stdin })
  .on("line", (line) => feed(Number(line.split(" ")[1])))
  .on("close", () => process.exit());
http.listen(0, "127.0.0.1", 4096, () => console.log(`port ${http.address().port}`));
