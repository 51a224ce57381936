/** Who uses the store, and which one: the shared pool, or a private tenant that was made here. */

import { computed, effect, signal } from "@preact/signals";

import { type Caller, Refusal, call } from "./api";
import { uuid4 } from "./ids";

export interface Login {
  username: string;
  userId: string;
  token: string;
  refreshToken: string;
  /** Milliseconds since 1970. */
  expiresAt: number;
  staff: boolean;
}

export interface Account {
  username: string;
  password: string;
}

/** A private tenant; its accounts are shown, so that other programs can use them. */
export interface Tenant {
  id: string;
  owner: Account;
  customer: Account;
}

/** As whom the page acts. */
export type Seat = "visitor" | "customer" | "staff";

interface Answer {
  accessToken: string;
  refreshToken: string;
  expiresAt: string;
  scope: string;
  user: { id: string; username: string };
}

/** The demo's accounts in the shared pool. */
export const DEMO_ACCOUNTS: Record<"customer" | "staff", Account> = {
  customer: { username: "demo", password: "demo-password" },
  staff: { username: "demo-staff", password: "demo-staff-password" },
};
/** How long before its end a token is renewed. */
const AHEAD_MS = 60_000;
const AWAY_MS = 5000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** Kept as long as the tab: what is in it lets act for its user. */
const KEY = "petstore-console";

interface Kept {
  tenant: Tenant | undefined;
  seats: { customer?: Login; staff?: Login };
  acting: Seat;
}

function kept(): Kept {
  const nothing: Kept = { tenant: undefined, seats: {}, acting: "visitor" };
  try {
    const found = JSON.parse(sessionStorage.getItem(KEY) ?? "null") as Kept | null;
    if (found === null) return nothing;
    for (const seat of ["customer", "staff"] as const) {
      if ((found.seats[seat]?.expiresAt ?? 0) < Date.now()) delete found.seats[seat];
    }
    if (found.acting !== "visitor" && found.seats[found.acting] === undefined) found.acting = "visitor";
    return { ...nothing, ...found };
  } catch {
    return nothing;
  }
}

const before = kept();
export const tenant = signal(before.tenant);
export const seats = signal(before.seats);
export const acting = signal<Seat>(before.acting);
export const me = computed(() => (acting.value === "visitor" ? undefined : seats.value[acting.value]));
export const caller = computed<Caller>(() => ({ token: me.value?.token, tenant: tenant.value?.id }));

effect(() => {
  const now: Kept = { tenant: tenant.value, seats: seats.value, acting: acting.value };
  sessionStorage.setItem(KEY, JSON.stringify(now));
});

/** Log in; the account's role says which seat it takes. */
export async function signIn(account: Account): Promise<Login> {
  const answer = await call<Answer>({ tenant: tenant.value?.id }, "POST", "/v1/auth/tokens", account);
  return seat(answer);
}

function seat(answer: Answer): Login {
  const login: Login = {
    username: answer.user.username,
    userId: answer.user.id,
    token: answer.accessToken,
    refreshToken: answer.refreshToken,
    expiresAt: Date.parse(answer.expiresAt),
    staff: answer.scope.split(" ").includes("chat:agent"),
  };
  seats.value = { ...seats.value, [login.staff ? "staff" : "customer"]: login };
  return login;
}

/** Take a seat: of the demo, or of the private tenant. Nobody is signed in twice. */
export async function sit(which: "customer" | "staff"): Promise<Login> {
  const own = tenant.value && { customer: tenant.value.customer, staff: tenant.value.owner };
  return seats.value[which] ?? (await signIn((own ?? DEMO_ACCOUNTS)[which]));
}

export async function signOut(): Promise<void> {
  const login = me.value;
  if (login === undefined) return;
  forget(login);
  await call({ token: login.token }, "DELETE", "/v1/auth/tokens");
}

/** Act without a login from now on: the one in use, unless another is meant. */
export function forget(login = me.value): void {
  if (login === undefined) return;
  const { [login.staff ? "staff" : "customer"]: _, ...others } = seats.value;
  if (me.value === login) acting.value = "visitor";
  seats.value = others;
}

/** Make a tenant of one's own, with an owner and a customer, and fill it with pets. */
export async function makeTenant(): Promise<void> {
  const id = uuid4();
  const made: Tenant = {
    id,
    owner: { username: "owner", password: uuid4() },
    customer: { username: "customer", password: uuid4() },
  };
  // The first who registers is the owner.
  await register(id, made.owner, "Olu");
  await register(id, made.customer, "Cleo");
  acting.value = "visitor";
  seats.value = {};
  tenant.value = made;
  await sit("staff");
  await sit("customer");
  await seed();
  acting.value = "staff";
}

export async function seed(): Promise<void> {
  await call({ token: (await sit("staff")).token }, "POST", "/v1/tenant/seed");
}

/** Empty the private tenant; its owner stays, and its customer is made anew. */
export async function reset(): Promise<void> {
  const own = tenant.value;
  if (own === undefined) return;
  await empty(own);
  const { customer: _, ...others } = seats.value;
  seats.value = others;
  await register(own.id, own.customer, "Cleo");
  await sit("customer");
}

/** Empty the private tenant, and go back to the shared pool. */
export async function deleteTenant(): Promise<void> {
  const own = tenant.value;
  if (own === undefined) return;
  await empty(own);
  leaveTenant();
}

/** Go back to the shared pool; the tenant stays as it is. */
export function leaveTenant(): void {
  acting.value = "visitor";
  seats.value = {};
  tenant.value = undefined;
}

async function empty(own: Tenant): Promise<void> {
  await call({ token: (await sit("staff")).token }, "DELETE", `/v1/tenant?confirm=${own.id}`);
}

async function register(id: string, account: Account, firstName: string): Promise<void> {
  const user = { ...account, email: `${account.username}@example.com`, firstName, lastName: "Console" };
  await call({ tenant: id }, "POST", "/v1/users", user);
}

/** Renew logins before they end; one that cannot be renewed is forgotten. */
export function keepRenewing(renewed: (login: Login) => void): void {
  effect(() => {
    const timers = Object.values(seats.value).map((login) =>
      setTimeout(
        () => void renew(login, renewed),
        Math.min(Math.max(0, login.expiresAt - Date.now() - AHEAD_MS), LONGEST_TIMER_MS),
      ),
    );
    return () => timers.forEach(clearTimeout);
  });
}

async function renew(login: Login, renewed: (login: Login) => void): Promise<void> {
  const body = { refreshToken: login.refreshToken };
  try {
    renewed(seat(await call<Answer>({ tenant: tenant.value?.id }, "POST", "/v1/auth/tokens/refresh", body)));
  } catch (error) {
    // While the store is away nothing is known of the login.
    const away = error instanceof Refusal && (error.status === 0 || error.status >= 500);
    if (away) setTimeout(() => void renew(login, renewed), AWAY_MS);
    else forget(login);
  }
}
