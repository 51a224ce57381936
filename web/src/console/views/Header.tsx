/** @jsxImportSource preact */

import { signal } from "@preact/signals";

import { attempt, begin, notice } from "../console";
import { DEMO } from "../page";
import {
  type Seat,
  acting,
  deleteTenant,
  leaveTenant,
  makeTenant,
  me,
  reset,
  seats,
  seed,
  signOut,
  sit,
  tenant,
} from "../session";
import { load } from "../store";
import { Dialog } from "./Dialog";
import { Copied } from "./Inspector";
import { signingIn } from "./SignIn";

const busy = signal(false);
const showing = signal(false);

/** Do one thing at a time, and say when it is done. */
async function run(action: () => Promise<unknown>, done: string) {
  busy.value = true;
  if (await attempt(action)) notice.value = { text: done, bad: false };
  busy.value = false;
}

export function Header() {
  return (
    <header>
      <div class="brand">
        <svg viewBox="0 0 32 32" aria-hidden="true" focusable="false" class="paw">
          <ellipse cx="6" cy="15" rx="3.4" ry="4.4" />
          <ellipse cx="12" cy="8" rx="3.6" ry="4.800" />
          <ellipse cx="20" cy="8" rx="3.6" ry="4.800" />
          <ellipse cx="26" cy="15" rx="3.4" ry="4.4" />
          <path d="M16 15c4 0 9 5.400 9 9.600 0 2.800-2.200 4.400-4.600 4.400-1.800 0-3-.8-4.400-.8s-2.600.8-4.400.8C9.200 29 7 27.400 7 24.600 7 20.400 12 15 16 15z" />
        </svg>
        <div>
          <h1>Petstore Gateway</h1>
          <p class="quiet">One store, many doors: the same event on each of them</p>
        </div>
      </div>
      <Identity />
      <TenantBar />
      {showing.value && tenant.value !== undefined && <Accounts />}
    </header>
  );
}

const OFFERED: [seat: "customer" | "staff", own: string, demo: string][] = [
  ["customer", "Customer", "demo"],
  ["staff", "Staff", "demo-staff"],
];

function Identity() {
  const known = DEMO || tenant.value !== undefined;
  const act = (seat: Seat) =>
    void attempt(async () => {
      if (seat !== "visitor") await sit(seat);
      acting.value = seat;
    });
  return (
    <fieldset class="identity">
      <legend class="unseen">Act as</legend>
      <button
        type="button"
        class="chip"
        aria-pressed={acting.value === "visitor"}
        onClick={() => act("visitor")}
      >
        Visitor
      </button>
      {OFFERED.filter(([seat]) => known || seats.value[seat] !== undefined).map(([seat, own, demo]) => (
        <button
          key={seat}
          type="button"
          class="chip"
          aria-pressed={acting.value === seat}
          onClick={() => act(seat)}
        >
          {seats.value[seat]?.username ?? (tenant.value === undefined ? demo : own)}
          {seat === "staff" && <span class="role">STAFF</span>}
        </button>
      ))}
      <button type="button" class="chip plain" onClick={() => (signingIn.value = true)}>
        {known ? "Other account" : "Sign in"}
      </button>
      {me.value !== undefined && (
        <button type="button" class="chip plain" onClick={() => void attempt(signOut)}>
          Sign out
        </button>
      )}
    </fieldset>
  );
}

function TenantBar() {
  const own = tenant.value;
  if (own === undefined) {
    return (
      <div class="tenant">
        <p>
          <strong title="Everybody who comes here uses it">Shared pool</strong>
        </p>
        <button
          type="button"
          disabled={busy.value}
          onClick={() => void run(makeTenant, "A store of your own is open.")}
        >
          Make a private store
        </button>
      </div>
    );
  }
  return (
    <div class="tenant">
      <p>
        <strong>Private store</strong> <code title={own.id}>{own.id.slice(0, 8)}…</code>
      </p>
      <button type="button" onClick={() => (showing.value = true)}>
        Accounts
      </button>
      <button
        type="button"
        disabled={busy.value}
        onClick={() =>
          void run(async () => {
            await seed();
            await load();
          }, "The store has the demo's pets.")
        }
      >
        Seed
      </button>
      <button
        type="button"
        disabled={busy.value}
        onClick={() =>
          void run(async () => {
            await reset();
            // Cursors from before have expired.
            begin();
          }, "The store is empty.")
        }
      >
        Reset
      </button>
      <button
        type="button"
        class="danger"
        disabled={busy.value}
        onClick={() => void run(deleteTenant, "The private store is deleted.")}
      >
        Delete
      </button>
      <button type="button" class="plain" onClick={leaveTenant}>
        Leave
      </button>
    </div>
  );
}

function Accounts() {
  const own = tenant.value;
  if (own === undefined) return null;
  return (
    <Dialog title="The private store" close={() => (showing.value = false)}>
      <p>
        Send its id in the header X-Tenant-ID, or use a token of one of its accounts. It is kept in this tab
        alone.
      </p>
      <h3>Tenant</h3>
      <Copied label="Copy the tenant's id" text={own.id} />
      {([own.owner, own.customer] as const).map(({ username, password }) => (
        <div key={username}>
          <h3>{username === "owner" ? "owner, who is STAFF" : username}</h3>
          <Copied label={`Copy the password of ${username}`} text={password} />
        </div>
      ))}
    </Dialog>
  );
}
