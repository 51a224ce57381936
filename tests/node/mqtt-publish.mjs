// The JavaScript MQTT client: `node mqtt-publish.mjs <url> <options as JSON> <topic> <quality of service> <count>`.
//
// It publishes readings with the heart rates 1, 2, 3 … before it is connected, so that they wait in its queue. Output:
// {"published": count} when all are done, or {"error": …}.

import mqtt from "mqtt";

const [, , url, options, topic, qos, count] = process.argv;
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const client = mqtt.connect(url, { reconnectPeriod: 0, ...JSON.parse(options) });
client.on("error", (error) => say({ error: error.message, code: error.code }));
const readings = Array.from({ length: Number(count) }, (_, place) =>
  client.publishAsync(topic, JSON.stringify({ heartRateBpm: place + 1 }), { qos: Number(qos) }),
);
await Promise.all(readings);
say({ published: readings.length });
await client.endAsync();
