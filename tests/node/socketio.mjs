// The official Socket.IO client, driven line by line: `node socketio.mjs <url> <options as JSON>`.
//
// Input: {"emit": [name, argument, ...], "mark": n} (with a mark it waits for the acknowledgement), {"auth": {...}} for
// the next connection, {"close": true}; the end of the input ends it in order. Output: {"event": name, "arguments": [...]}, {"mark": n, "arguments": [...]}.

import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [, , url, options] = process.argv;
const { auth, ...others } = JSON.parse(options);
let credentials = auth;
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
// An argument {"$binary": text} stands for a Buffer.
const revive = (value) => (value?.$binary === undefined ? value : Buffer.from(value.$binary));

const socket = io(url, { auth: (give) => give(credentials), forceNew: true, ...others });
const tell = (event, ...rest) =>
  say({ event, arguments: rest, transport: socket.io.engine?.transport?.name });
socket.on("connect", () => tell("connect"));
socket.on("disconnect", (reason) => tell("disconnect", reason));
socket.on("connect_error", (error) => tell("connect_error", { message: error.message, data: error.data ?? null }));
socket.io.on("open", () => socket.io.engine.once("upgrade", (transport) => tell("upgrade", transport.name)));
socket.onAny((event, ...rest) => tell(event, ...rest));

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const order = JSON.parse(line);
    if (order.auth) credentials = order.auth;
    if (order.close) socket.disconnect();
    if (order.emit) {
      const [name, ...rest] = order.emit.map(revive);
      if (order.mark === undefined) socket.emit(name, ...rest);
      else socket.emit(name, ...rest, (...answer) => say({ mark: order.mark, arguments: answer }));
    }
  })
  .on("close", () => socket.disconnect());
