/** @jsxImportSource preact */

import "./page.css";

import { effect } from "@preact/signals";
import { render } from "preact";

import { endChat } from "./chat";
import { start } from "./console";
import { startReading } from "./quiet";
import { tenant } from "./session";
import { App } from "./views/App";
import { startClock } from "./views/Chart";

const place = document.getElementById("console");
if (place !== null) {
  place.replaceChildren();
  render(<App />, place);
  start();
  startClock();
  startReading();
  effect(() => {
    tenant.value;
    queueMicrotask(endChat);
  });
}
