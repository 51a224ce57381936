// The official clients of JavaScript order a pet at the MCP door; prints one line of JSON.
// node mcp.mjs SERVER TOKEN PET_ID GENERATION: 2026 (the present client), 2025 (the same, the older protocol), 1 (the older
// client). The server is an address, or a command to be started (stdio), which gets the token as PETSTORE_TOKEN.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { Client as OldClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport as OldStdioTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport as OldTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [server, token, petId, generation] = process.argv.slice(2);
const me = { name: "test", version: "1" };
const old = generation === "1";
const client = old
  ? new OldClient(me)
  : new Client(me, { versionNegotiation: { mode: generation === "2026" ? { pin: "2026-07-28" } : "legacy" } });
if (server.startsWith("http")) {
  const Transport = old ? OldTransport : StreamableHTTPClientTransport;
  const requestInit = { headers: { authorization: `Bearer ${token}` } };
  await client.connect(new Transport(new URL(server), { requestInit }));
} else {
  const Transport = old ? OldStdioTransport : StdioClientTransport;
  const [command, ...args] = server.split(" ");
  await client.connect(new Transport({ command, args, env: { ...process.env, PETSTORE_TOKEN: token } }));
}

const call = (name, args) => client.callTool({ name, arguments: args });
const tools = (await client.listTools()).tools.map((tool) => tool.name);
const found = await call("search_pets", { criteria: { text: "bella" } });
const order = (await call("place_order", { petId })).structuredContent;
const refused = await call("place_order", { petId });
const uri = `petstore://orders/${order.id}`;

let changed = null;
if (generation === "2026") {
  const heard = new Promise((resolve) =>
    client.setNotificationHandler("notifications/resources/updated", (note) => resolve(note.params.uri)),
  );
  const subscription = await client.listen({ resourceSubscriptions: [uri] });
  await call("cancel_order", { id: order.id });
  changed = await heard;
  await subscription.close();
} else {
  await call("cancel_order", { id: order.id });
}
const { contents } = await client.readResource({ uri });
const after = contents[0]._meta?.["petstoreapi.com/cursor"];
const progress = [];
const advice = await client.callTool(
  { name: "ask_advisor", arguments: { messages: [{ role: "user", content: "any dogs?" }] } },
  ...(old ? [undefined] : []),
  { onprogress: (told) => progress.push(told.progress) },
);
const unknown = await call("fly", {}).catch((error) => error);
const { completion } = await client.complete({
  ref: { type: "ref/resource", uri: "petstore://orders/{id}" },
  argument: { name: "id", value: order.id.slice(0, 8) },
});
const prompt = await client.getPrompt({ name: "adopt_a_pet", arguments: { pet: "Bella" } });
console.log(
  JSON.stringify({
    tools,
    found: found.structuredContent.data.map((pet) => pet.id),
    refused: [refused.isError, refused.structuredContent.status],
    changed: changed === uri,
    status: JSON.parse(contents[0].text).status,
    cursor: typeof after,
    advice: typeof advice.structuredContent.text,
    progress: progress[0],
    unknown: unknown.code,
    completed: completion.values.includes(order.id),
    prompt: prompt.messages[0].content.text.includes("Bella"),
  }),
);
await client.close();
