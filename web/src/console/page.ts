/** What the gateway writes into the page, and what is known of the place where it is shown. */

const meta = (name: string) => document.querySelector<HTMLMetaElement>(`meta[name=${name}]`)?.content ?? "";

/** Whether this is a store to try out, with accounts that everybody knows. */
export const DEMO = meta("petstore-demo") === "true";
export const VERSION = meta("petstore-version");
/** The types of events that the store keeps. */
export const EVENT_TYPES = meta("petstore-events").split(" ");
/** The gateway's address, under whatever path a proxy shows it. */
export const BASE = new URL(".", location.href).href.replace(/\/$/, "");
export const WS_BASE = BASE.replace(/^http/, "ws");
/** Whether page and gateway are on one machine, so that they have one clock, and the metrics may be read. */
export const SAME_MACHINE = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(location.hostname);
