/** @jsxImportSource preact */

import { doors, feed, inspected, shown } from "../console";
import type { Entry } from "../feed";
import { pets } from "../store";
import { tell, timeOf } from "../words";

const MOST = 40;

export function FeedList() {
  shown.value;
  const entries = feed.entries.slice(-MOST).reverse();
  return (
    <section aria-labelledby="feed-title" class="panel">
      <div class="panel-head">
        <h2 id="feed-title">Events</h2>
        <p class="quiet">A dot for each door that showed it</p>
      </div>
      {entries.length === 0 ? (
        <p class="empty">Nothing has happened since you came.</p>
      ) : (
        <ol class="feed">
          {entries.map((entry) => (
            <Line key={entry.event.id} entry={entry} />
          ))}
        </ol>
      )}
    </section>
  );
}

function Line({ entry }: { entry: Entry }) {
  const { event, arrivals } = entry;
  return (
    <li data-event={event.eventType} data-topic={event.topic}>
      <button type="button" class="event" onClick={() => (inspected.value = event.id)}>
        <span class="event-time">{timeOf(entry.first)}</span>
        <span class="event-text">
          {tell(event, (id) => pets.value.get(id)?.name)} <span class="quiet">{event.eventType}</span>
        </span>
        <span class="dots">
          {doors.map(({ kind }) => {
            const arrival = arrivals.get(kind.id);
            return (
              <span
                key={kind.id}
                class={`dot door-${kind.id} ${arrival === undefined ? "" : arrival.missed ? "late" : "on"}`}
                data-door={kind.id}
                title={`${kind.title}: ${arrival === undefined ? "not yet" : `${arrival.delay} ms`}`}
              />
            );
          })}
          <span class="unseen">
            through {arrivals.size} of {doors.length} doors
          </span>
        </span>
      </button>
    </li>
  );
}
