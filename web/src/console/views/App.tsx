/** @jsxImportSource preact */

import { useSignalEffect } from "@preact/signals";

import { notice } from "../console";
import { VERSION } from "../page";
import { Chart } from "./Chart";
import { Chat } from "./Chat";
import { Doors, Lamps } from "./Doors";
import { FeedList } from "./Feed";
import { Header } from "./Header";
import { Inspector } from "./Inspector";
import { Orders } from "./Orders";
import { Pets } from "./Pets";
import { QuietDoors } from "./Quiet";
import { SignIn } from "./SignIn";

/** What is shown, and where it is, relative to the page. */
const LINKS = [
  ["Swagger UI", "v1/swagger-ui.html"],
  ["GraphiQL", "v1/graphql"],
  ["OpenAPI", "v1/openapi.json"],
  ["AsyncAPI UI", "v1/asyncapi-ui.html"],
  ["AsyncAPI", "v1/asyncapi.json"],
  ["GraphQL schema", "v1/schema.graphql"],
  ["Readiness", "readyz"],
] as const;

export function App() {
  return (
    <>
      <Header />
      <main>
        <div class="column">
          <Pets />
          <Orders />
        </div>
        <div class="column">
          <Doors />
          <Chart />
          <FeedList />
          <QuietDoors />
        </div>
      </main>
      <footer>
        <nav aria-label="Documents">
          {LINKS.map(([name, address]) => (
            <a key={address} href={address}>
              {name}
            </a>
          ))}
        </nav>
        <p class="quiet">
          Petstore Gateway {VERSION}. This page: Preact {__VERSIONS__.preact}, socket.io-client{" "}
          {__VERSIONS__["socket.io-client"]}, graphql-ws {__VERSIONS__["graphql-ws"]}, mqtt.js{" "}
          {__VERSIONS__.mqtt}
        </p>
      </footer>
      <Lamps />
      <Chat />
      <Notice />
      <Inspector />
      <SignIn />
    </>
  );
}

const SHOWN_MS = 6000;

/** The one region that screen readers are told of, and only for what the user did. */
function Notice() {
  const now = notice.value;
  useSignalEffect(() => {
    if (notice.value === undefined) return;
    const timer = setTimeout(() => {
      notice.value = undefined;
    }, SHOWN_MS);
    return () => clearTimeout(timer);
  });
  return (
    <div class="notices" role="status">
      {now !== undefined && <p class={now.bad ? "notice bad" : "notice"}>{now.text}</p>}
    </div>
  );
}
