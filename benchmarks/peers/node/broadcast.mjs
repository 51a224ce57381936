// The peer: a plain Node broadcaster on `ws`, one send() per client and message, as its documentation shows.
//
// It prints its port, and after a line "feed <seconds>" on standard input sends messages of 300 bytes to every client
// as fast as the sockets take them. With the argument --cork <burst> it gathers so many messages per client into one
// write by corking the socket under the library's back: not what programs do, but the best that Node can.

import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { WebSocketServer } from "ws";

const SIZE = 300;
const LEAD = 20;
const HIGH_WATER = 1024 * 1024;
const CORK = process.argv[2] === "--cork";
// Messages between two turns of the event loop. Without corking, 1 was faster than 10 and 100.
const BURST = CORK ? Number(process.argv[3]) : 1;

const http = createServer();
const server = new WebSocketServer({ server: http, perMessageDeflate: false });
const sockets = new Map();
server.on("connection", (socket, request) => {
  sockets.set(socket, request.socket);
  socket.on("close", () => sockets.delete(socket));
  socket.on("error", () => socket.terminate());
});

function message(counter, last) {
  const buffer = Buffer.alloc(SIZE, "x");
  buffer.write(`^${String(counter).padStart(10, "0")}${last ? "!" : "."}`, LEAD);
  return buffer;
}

function fullest() {
  let most = 0;
  for (const socket of sockets.keys()) most = Math.max(most, socket.bufferedAmount);
  return most;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function feed(seconds) {
  const end = performance.now() + seconds * 1000;
  let counter = 0;
  let last = false;
  while (!last) {
    const burst = [];
    while (burst.length < BURST && !last) {
      last = performance.now() >= end;
      burst.push(message(++counter, last));
    }
    for (const [socket, transport] of sockets) {
      if (CORK) transport.cork();
      for (const buffer of burst) socket.send(buffer, { binary: false });
      if (CORK) transport.uncork();
    }
    do await turn();
    while (fullest() > HIGH_WATER);
  }
  console.log(`fed ${counter}`);
}

createInterface({ input: process.stdin })
  .on("line", (line) => feed(Number(line.split(" ")[1])))
  .on("close", () => process.exit());
http.listen(0, "127.0.0.1", 4096, () => console.log(`port ${http.address().port}`));
