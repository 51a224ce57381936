/** @jsxImportSource preact */

import { signal } from "@preact/signals";

import { feed } from "../console";

const WIDTH = 300;
const HEIGHT = 64;
const now = signal(Date.now());

/** Draw the chart anew each second, while somebody looks. */
export function startClock(): void {
  setInterval(() => {
    if (!document.hidden) now.value = Date.now();
  }, 1000);
}

export function Chart() {
  const seconds = feed.seconds(now.value);
  const most = Math.max(4, ...seconds.map(({ events }) => events));
  const slowest = Math.max(20, ...seconds.map(({ slowest }) => slowest));
  const step = WIDTH / seconds.length;
  const total = seconds.reduce((sum, { events }) => sum + events, 0);
  const worst = Math.max(0, ...seconds.map(({ slowest }) => slowest));
  const line = seconds
    .map(
      ({ slowest: delay }, index) =>
        `${(index + 0.5) * step},${HEIGHT - 2 - (delay / slowest) * (HEIGHT - 6)}`,
    )
    .join(" ");
  return (
    <figure class="chart">
      <figcaption>
        <span class="key-events">{total} events</span> and the{" "}
        <span class="key-slowest">slowest door, {worst} ms</span>, in the last minute
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true" focusable="false">
        {seconds.map(({ events }, index) => (
          <rect
            // biome-ignore lint/suspicious/noArrayIndexKey: bars are places in time, not things
            key={index}
            class="bar"
            x={index * step + 0.5}
            width={step - 1}
            y={HEIGHT - (events / most) * (HEIGHT - 4)}
            height={(events / most) * (HEIGHT - 4)}
          />
        ))}
        <polyline class="line" points={line} />
      </svg>
    </figure>
  );
}
