/** @jsxImportSource preact */

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { call } from "../api";
import { audienceOf, commandsFor } from "../commands";
import { doors, feed, inspected, notice, shown } from "../console";
import { BASE, SAME_MACHINE } from "../page";
import { me, tenant } from "../session";
import { Dialog } from "./Dialog";

interface Readiness {
  doors: Record<string, { address: string }>;
}

const addresses = signal<{ grpc?: string; mqtt?: string }>({});

async function findAddresses() {
  const ready = await call<Readiness>({}, "GET", "/readyz").catch(() => undefined);
  const at = (name: string) => ready?.doors[name]?.address;
  const [grpc, mqtt] = [at("grpc"), at("mqtt")];
  addresses.value = { ...(grpc ? { grpc } : {}), ...(mqtt ? { mqtt } : {}) };
}

export function Inspector() {
  shown.value;
  const entry = feed.entries.find(({ event }) => event.id === inspected.value);
  useEffect(() => {
    if (entry !== undefined && addresses.value.grpc === undefined) void findAddresses();
  }, [entry]);
  if (entry === undefined) return null;
  const { event, arrivals } = entry;
  const commands = commandsFor(event, {
    base: BASE,
    grpc: addresses.value.grpc,
    mqtt: addresses.value.mqtt,
    tenant: tenant.value?.id,
    username: me.value?.username,
  });
  return (
    <Dialog title={event.eventType} class="inspector" close={() => (inspected.value = undefined)}>
      <dl class="facts">
        <Fact name="Topic" value={event.topic} />
        <Fact name="Cursor" value={event.cursor} />
        <Fact name="Audience" value={audienceOf(event)} />
        <Fact name="Tenant" value={tenant.value === undefined ? "the shared pool" : event.tenantId} />
      </dl>
      <h3>Through the doors</h3>
      <ul class="arrivals">
        {doors.map(({ kind }) => {
          const arrival = arrivals.get(kind.id);
          return (
            <li key={kind.id}>
              <span
                class={`dot door-${kind.id} ${arrival === undefined ? "" : arrival.missed ? "late" : "on"}`}
              />{" "}
              {kind.title}:{" "}
              {arrival === undefined
                ? "not yet"
                : `${arrival.delay} ms${arrival.missed ? ", caught up" : ""}`}
            </li>
          );
        })}
      </ul>
      <p class="quiet">
        {SAME_MACHINE
          ? "Since the event's timestamp."
          : "After the first door; the clocks of two machines differ."}
      </p>
      <h3>Envelope</h3>
      <Copied label="Copy the envelope" text={JSON.stringify(event, undefined, 2)} />
      <h3>Follow it on any door</h3>
      {commands.map(({ title, text }) => (
        <div key={title}>
          <h4>{title}</h4>
          <Copied label={`Copy: ${title}`} text={text} />
        </div>
      ))}
    </Dialog>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

export function Copied({ label, text }: { label: string; text: string }) {
  return (
    <div class="copied">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <pre tabIndex={0}>{text}</pre>
      <button type="button" aria-label={label} onClick={(event) => void copy(text, event.currentTarget)}>
        Copy
      </button>
    </div>
  );
}

async function copy(text: string, button: HTMLElement) {
  // The clipboard is there for pages from HTTPS or this machine alone: elsewhere the text is selected.
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  } catch {
    const place = button.previousElementSibling;
    if (place !== null) getSelection()?.selectAllChildren(place);
    notice.value = { text: "Selected: copy it with the keyboard.", bad: false };
  }
}
