// Node's EventSource: `node sse.mjs <url> <count>`.
//
// It prints "open" at each connection and the data of each event of the pets as a line of JSON, reconnects by itself, and
// ends after so many events.

import { EventSource } from "eventsource";

const [, , url, count] = process.argv;
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const source = new EventSource(url);
let left = Number(count);

source.addEventListener("cursor", () => say("cursor"));
source.addEventListener("thing.happened", ({ data }) => {
  say(JSON.parse(data));
  if (--left === 0) source.close();
});
