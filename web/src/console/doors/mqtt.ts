import mqtt from "mqtt";

import { WS_BASE } from "../page";
import type { Envelope } from "../types";
import type { Join } from "./connection";

const SHARED_POOL = "00000000-0000-0000-0000-000000000000";
/** How long the store keeps the place of a session that is away. */
const SESSION_SECONDS = 600;
/** How many messages the store sends ahead of what this page has taken. */
const RECEIVE_MAXIMUM = 16;

/** mqtt.js with a persistent session: the store itself knows where it was, and this page sends no cursor. */
export const joinMqtt: Join = (wish, ears) => {
  const client = mqtt.connect(`${WS_BASE}/mqtt`, {
    protocolVersion: 5,
    clientId: wish.session,
    clean: false,
    // Its timers would be a worker made of text, which the page's policy does not let in.
    timerVariant: "native",
    reconnectPeriod: 1000,
    resubscribe: false,
    properties: { sessionExpiryInterval: SESSION_SECONDS, receiveMaximum: RECEIVE_MAXIMUM },
    ...(wish.token === undefined ? {} : { username: "console", password: wish.token }),
  });
  const prefix = wish.tenant === undefined || wish.tenant === SHARED_POOL ? "" : `tenants/${wish.tenant}/`;
  client.on("connect", ({ sessionPresent }) => {
    // The session has its subscriptions. 2: what is retained is not wanted, for it tells no event.
    if (!sessionPresent)
      client.subscribe(
        wish.topics.map((topic) => prefix + topic),
        { qos: 1, rh: 2 },
      );
    ears.joined();
  });
  // In place of the event "message": the acknowledgement waits until the page has taken it, and the store with it.
  client.handleMessage = ({ payload, retain }, done) => {
    if (retain) done();
    else void ears.event(JSON.parse(payload.toString()) as Envelope).then(() => done());
  };
  client.on("close", () => ears.lost("The connection broke."));
  client.on("error", (error) => {
    client.end(true);
    ears.lost(error.message, true);
  });
  return () => {
    client.removeAllListeners();
    client.on("error", () => {});
    client.end(true);
  };
};
