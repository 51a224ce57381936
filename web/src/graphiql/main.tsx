import "../nonce";
import "graphiql/setup-workers/vite";
import "@graphiql/react/style.css";
import "@graphiql/plugin-doc-explorer/style.css";
import "@graphiql/plugin-history/style.css";
import "graphiql/graphiql.css";
import "./page.css";

import { createGraphiQLFetcher, type Fetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import { createClient } from "graphql-ws";
import { createRoot } from "react-dom/client";

import { EXAMPLES } from "./examples";

const url = location.origin + location.pathname;

// What the headers' editor says of the caller goes with subscriptions too, as the connection's payload.
const fetcher: Fetcher = (request, options) => {
  const headers = new Headers(options?.headers);
  const wsClient = createClient({
    url: url.replace(/^http/, "ws"),
    connectionParams: {
      Authorization: headers.get("Authorization"),
      tenantId: headers.get("X-Tenant-ID"),
    },
  });
  return createGraphiQLFetcher({ url, wsClient })(request, options);
};

const place = document.getElementById("graphiql");
if (place !== null) {
  createRoot(place).render(
    <GraphiQL
      fetcher={fetcher}
      defaultTabs={EXAMPLES}
      shouldPersistHeaders
      defaultEditorToolsVisibility="headers"
    />,
  );
}
