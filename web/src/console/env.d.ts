/** The versions of the clients in the page (vite.config.ts). */
declare const __VERSIONS__: Record<"preact" | "socket.io-client" | "graphql-ws" | "mqtt", string>;
