/** How to follow an event from a terminal, on each door. */

import type { Envelope } from "./types";

export interface Place {
  /** The gateway's address, such as http://127.0.0.1:8080. */
  base: string;
  /** host:port of the gRPC and the MQTT port, where they are known. */
  grpc: string | undefined;
  mqtt: string | undefined;
  /** The private tenant, if it is one. */
  tenant: string | undefined;
  username: string | undefined;
}

export interface Command {
  title: string;
  text: string;
}

/** Commands that show the event again: each begins just before the newest that is kept, or where it says. */
export function commandsFor(event: Envelope, place: Place): Command[] {
  const { base, grpc, mqtt, tenant, username } = place;
  const ws = base.replace(/^http/, "ws");
  const topics = JSON.stringify([event.topic]);
  const json = (value: unknown) => JSON.stringify(value).replaceAll("'", "'\\''");
  const header = username === undefined ? [] : ['-H "Authorization: Bearer $PETSTORE_TOKEN"'];
  const named = tenant === undefined || username !== undefined ? [] : [`-H "X-Tenant-ID: ${tenant}"`];
  const headers = [...header, ...named].map((text) => `${text} `).join("");
  const query =
    username === undefined ? (tenant === undefined ? "" : `?tenant=${tenant}`) : "?token=$PETSTORE_TOKEN";
  const subscription =
    'subscription($t: [String!]!) { events(topics: $t, after: "earliest") { id eventType cursor data } }';
  const prefix = tenant === undefined ? "" : `tenants/${tenant}/`;
  const [host = "", port = ""] = (mqtt ?? "").split(/:(?=\d+$)/);
  const commands: (Command | undefined)[] = [
    username === undefined
      ? undefined
      : {
          title: "First, a token",
          text: `export PETSTORE_TOKEN=$(petstore token ${username} --url ${base}${tenant === undefined ? "" : ` --tenant ${tenant}`})`,
        },
    { title: "Command line", text: `petstore watch '${event.topic}' --cursor earliest --url ${base}` },
    {
      title: "Server-Sent Events",
      text: `curl -N ${headers}'${base}/v1/events?topics=${event.topic}&cursor=earliest'`,
    },
    {
      title: "WebSocket",
      text: `(echo '{"type":"subscribe","data":{"topics":${topics},"cursor":"earliest"}}'; cat) | websockets "${ws}/v1/ws/events${query}"`,
    },
    {
      title: "Socket.IO",
      text: `io("${base}", { auth: { ${username === undefined ? (tenant === undefined ? "" : `tenantId: "${tenant}", `) : "token, "}topics: ${topics}, cursor: "earliest" } }).on("event", console.log)`,
    },
    {
      title: "GraphQL",
      text: `curl -N ${headers}-H 'Accept: text/event-stream' -H 'Content-Type: application/json' -d '${json({ query: subscription, variables: { t: [event.topic] } })}' ${base}/v1/graphql`,
    },
    mqtt === undefined
      ? undefined
      : {
          title: "MQTT",
          text: `mosquitto_sub -V 5 -h ${host} -p ${port} ${username === undefined ? "" : `-u ${username} -P "$PETSTORE_TOKEN" `}-v -t '${prefix}${event.topic}'`,
        },
    grpc === undefined
      ? undefined
      : {
          title: "gRPC",
          text: `buf curl --protocol grpc --http2-prior-knowledge ${header.map((text) => `${text} `).join("")}${named.length ? `-H "x-tenant-id: ${tenant}" ` : ""}-d '${json({ topics: [event.topic], cursor: "earliest" })}' http://${grpc}/petstore.v1.EventService/Subscribe`,
        },
  ];
  return commands.filter((command) => command !== undefined);
}

/** Who may see an event, by what it is about. */
export function audienceOf(event: Envelope): string {
  switch (event.topic.split("/")[0]) {
    case "pets":
      return event.eventType === "pet.adopted" ? "STAFF, and who adopted the pet" : "Everybody";
    case "inventory":
      return "Everybody";
    case "orders":
      return event.data.order?.userId === undefined
        ? "STAFF, and whoever names the order's id: its buyer was a visitor"
        : "STAFF, and the order's buyer";
    case "adoptions":
      return "STAFF, and the applicant";
    default:
      return "STAFF";
  }
}
