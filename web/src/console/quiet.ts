/** What the doors did that no browser can join, from the gateway's metrics in Prometheus' text format. */

import { signal } from "@preact/signals";

import { BASE, SAME_MACHINE } from "./page";

export interface Work {
  total: number;
  /** Requests and streams that it is serving now. */
  open: number;
  /** The operations, the most frequent first. */
  operations: [name: string, count: number][];
}

const EVERY_MS = 5000;
const SAMPLE = /^(\w+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** Undefined while they are not known; null where the gateway shows its metrics to its own machine alone. */
export const work = signal<ReadonlyMap<string, Work> | null | undefined>(SAME_MACHINE ? undefined : null);
export const hooks = signal({ succeeded: 0, failed: 0 });

/** How many requests each door has answered, by operation, and how many it is serving. */
export function readWork(text: string): Map<string, Work> {
  const doors = new Map<string, Map<string, number>>();
  const open = new Map<string, number>();
  for (const [, name, labels = "", value] of samples(text)) {
    if (name !== "petstore_requests_total" && name !== "petstore_open") continue;
    const { door, operation } = Object.fromEntries(
      [...labels.matchAll(LABEL)].map(([, key, text]) => [key, text]),
    );
    if (door === undefined) continue;
    if (name === "petstore_open") {
      open.set(door, Number(value));
      continue;
    }
    if (operation === undefined) continue;
    const operations = doors.get(door) ?? new Map<string, number>();
    doors.set(door, operations.set(operation, (operations.get(operation) ?? 0) + Number(value)));
  }
  return new Map(
    [...new Set([...doors.keys(), ...open.keys()])].map((door) => {
      const operations = [...(doors.get(door) ?? [])].sort(([, one], [, other]) => other - one);
      const total = operations.reduce((sum, [, count]) => sum + count, 0);
      return [door, { total, open: open.get(door) ?? 0, operations }];
    }),
  );
}

/** The value of a metric without labels; 0 when it is not there. */
export function readValue(text: string, metric: string): number {
  for (const [, name, labels, value] of samples(text)) if (name === metric && !labels) return Number(value);
  return 0;
}

function samples(text: string): RegExpExecArray[] {
  return text
    .split("\n")
    .map((line) => SAMPLE.exec(line))
    .filter((match) => match !== null);
}

/** Read the metrics now and then, while somebody looks. */
export function startReading(): void {
  if (!SAME_MACHINE) return;
  const read = async () => {
    if (document.hidden) return;
    const response = await fetch(`${BASE}/metrics`).catch(() => undefined);
    if (response === undefined) return;
    if (!response.ok) {
      // A proxy on this machine, or a token that is asked for: asking again changes nothing.
      clearInterval(timer);
      work.value = null;
      return;
    }
    const text = await response.text();
    work.value = readWork(text);
    hooks.value = {
      succeeded: readValue(text, "petstore_webhooks_succeeded_total"),
      failed: readValue(text, "petstore_webhooks_failed_total"),
    };
  };
  const timer = setInterval(() => void read(), EVERY_MS);
  void read();
}
