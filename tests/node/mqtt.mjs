// The JavaScript MQTT client: `node mqtt.mjs <url> <options as JSON> <topic> <quality of service> [unacknowledged]`.
//
// Output, a line of JSON each: {"granted": [...]}, then {"topic", "payload", "retain", "qos", "properties"} per message. It goes
// when its input ends.

import mqtt from "mqtt";

const [, , url, options, topic, qos, unacknowledged] = process.argv;
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const client = mqtt.connect(url, { reconnectPeriod: 0, ...JSON.parse(options) });
if (unacknowledged) client.handleMessage = () => {}; // It never comes to an end with its first message.
client.on("error", (error) => say({ error: error.message, code: error.code }));
client.on("message", (name, payload, packet) =>
  say({
    topic: name,
    payload: JSON.parse(payload.toString()),
    retain: packet.retain,
    qos: packet.qos,
    properties: packet.properties?.userProperties ?? null,
  }),
);
client.on("connect", () =>
  client.subscribe(topic, { qos: Number(qos) }, (error, granted) =>
    say(error ? { error: error.message } : { granted: granted.map((grant) => grant.qos) }),
  ),
);
process.stdin.on("end", () => client.end()).resume();
