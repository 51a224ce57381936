/** @jsxImportSource preact */

import { doors, feed, shown } from "../console";
import { SLOW_MS, type Door, type State } from "../doors/door";
import { SAME_MACHINE } from "../page";

const STATES: Record<State, string> = {
  cut: "cut",
  joining: "joining…",
  open: "connected",
  lost: "reconnecting…",
};

export function Doors() {
  return (
    <section aria-labelledby="doors-title" class="panel">
      <div class="panel-head">
        <h2 id="doors-title">Doors</h2>
        <p class="quiet">
          {SAME_MACHINE
            ? "Delay since the event's timestamp"
            : "Delay after the first door that showed the event"}
        </p>
      </div>
      <ul class="doors">
        {doors.map((door) => (
          <Row key={door.kind.id} door={door} />
        ))}
      </ul>
    </section>
  );
}

function Row({ door }: { door: Door }) {
  // How far it is behind is read from the feed.
  shown.value;
  const { kind, state, slow, taken, delay, caughtUp } = door;
  const behind = feed.behind(kind.id, door.since);
  const cut = state.value === "cut";
  return (
    <li class={`door door-${kind.id} is-${state.value}`} data-door={kind.id}>
      {/* A new element for each event, so that its light goes on anew. */}
      <span key={taken} class={taken > 0 ? "lamp lit" : "lamp"} aria-hidden="true" />
      <div class="door-name">
        <h3>{kind.title}</h3>
        <p class="quiet">
          {kind.client}, <span class="door-state">{STATES[state.value]}</span>
        </p>
      </div>
      <dl class="figures">
        <div>
          <dt>events</dt>
          <dd class="taken">{taken}</dd>
        </div>
        <div>
          <dt>delay</dt>
          <dd class="delay">{delay === undefined ? "–" : `${delay} ms`}</dd>
        </div>
      </dl>
      <div class="actions">
        <button
          type="button"
          aria-label={`${cut ? "Join" : "Cut"} ${kind.title}`}
          onClick={() => (cut ? door.rejoin() : door.cut())}
        >
          {cut ? "Join" : "Cut"}
        </button>
        <button
          type="button"
          aria-pressed={slow.value}
          aria-label={`Slow ${kind.title}`}
          title={`Takes one event in ${SLOW_MS / 1000} s; the others wait ${kind.waits}.`}
          onClick={() => door.setSlow(!slow.value)}
        >
          Slow
        </button>
      </div>
      <p class="door-note" hidden={behind === 0 && caughtUp === undefined && !slow.value}>
        {behind > 0 && <span class="behind">{behind} behind. </span>}
        {!cut && caughtUp !== undefined && (
          <span class="caught-up">
            Caught up on {caughtUp}: {kind.resumes}.{" "}
          </span>
        )}
        {slow.value && <span>One event a second; the others wait {kind.waits}.</span>}
        {cut && door.reason.value !== "" && <span> {door.reason.value}</span>}
      </p>
    </li>
  );
}

/** The lamps alone, for narrow screens, where the doors are far from the pets. */
export function Lamps() {
  shown.value;
  return (
    <p class="lamps" aria-hidden="true">
      {doors.map(({ kind, taken, state }) => (
        <span key={kind.id} class={`door-${kind.id} is-${state.value}`}>
          <span key={taken} class={taken > 0 ? "lamp lit" : "lamp"} />
          {kind.id === "websocket"
            ? "ws"
            : kind.id === "socketio"
              ? "s.io"
              : kind.id === "graphql"
                ? "gql"
                : kind.id}
        </span>
      ))}
    </p>
  );
}
