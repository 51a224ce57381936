/** The store as the page shows it: read once, and kept up to date by events. */

import { signal } from "@preact/signals";

import { call } from "./api";
import { acting, caller } from "./session";
import type { Envelope, Order, Payment, Pet, Species, Stock } from "./types";

/** The most that one page shows; a list has 100 at most. */
const LIMIT = 100;

export const pets = signal<ReadonlyMap<string, Pet>>(new Map());
export const orders = signal<ReadonlyMap<string, Order>>(new Map());
export const stock = signal<ReadonlyMap<Species, Stock>>(new Map());
export const loading = signal(true);

interface List<T> {
  data: T[];
}

/** Which reading is meant: what an earlier one gets is not shown. */
let turn = 0;

/** Read everything as the caller may see it. */
export async function load(): Promise<void> {
  turn += 1;
  const mine = turn;
  const who = caller.value;
  const known = acting.value !== "visitor";
  loading.value = true;
  pets.value = new Map();
  orders.value = new Map();
  stock.value = new Map();
  try {
    const [petList, inventory, orderList] = await Promise.all([
      call<List<Pet>>(who, "GET", `/v1/pets?status=ALL&limit=${LIMIT}`),
      call<{ bySpecies: Record<Species, Stock> }>(who, "GET", "/v1/inventory"),
      known ? call<List<Order>>(who, "GET", `/v1/orders?limit=${LIMIT}`) : { data: [] },
    ]);
    if (mine !== turn) return;
    // Those for sale come first. They keep their places when they are sold, so that one sees it.
    const isSold = (pet: Pet) => Number(pet.status !== "AVAILABLE");
    const first = petList.data.sort((one, other) => isSold(one) - isSold(other));
    // What events brought meanwhile is newer.
    pets.value = new Map([...first.map((pet) => [pet.id, pet] as const), ...pets.value]);
    orders.value = new Map([...orderList.data.map((order) => [order.id, order] as const), ...orders.value]);
    const counts = Object.entries(inventory.bySpecies) as [Species, Stock][];
    stock.value = new Map([...counts, ...stock.value]);
  } finally {
    if (mine === turn) loading.value = false;
  }
}

/** Show what an event tells. */
export function apply({ eventType, data }: Envelope): void {
  if (data.pet !== undefined && "updatedAt" in data.pet) keep(pets, data.pet);
  if (data.order !== undefined) keep(orders, data.order);
  if (eventType === "pet.deleted" && data.petId !== undefined) {
    const left = new Map(pets.value);
    left.delete(data.petId);
    pets.value = left;
  }
  if (eventType === "inventory.changed" && data.species !== undefined) {
    const { available, pending, adopted } = data as unknown as Stock;
    stock.value = new Map(stock.value).set(data.species, { available, pending, adopted });
  }
}

type Kept = { id: string; updatedAt: string };

function keep<T extends Kept>(all: { value: ReadonlyMap<string, T> }, item: T): void {
  const known = all.value.get(item.id);
  if (known !== undefined && known.updatedAt > item.updatedAt) return;
  const changed = new Map(all.value).set(item.id, item);
  const [oldest] = changed.keys();
  if (changed.size > 2 * LIMIT && oldest !== undefined) changed.delete(oldest);
  all.value = changed;
}

export async function order(pet: Pet): Promise<Order> {
  const placed = await call<Order>(caller.value, "POST", "/v1/orders", { petId: pet.id });
  keep(orders, placed);
  return placed;
}

/** Pay an order with a test card: one that succeeds, or one that is declined. */
export async function pay(which: Order, declined = false): Promise<Payment> {
  const source = {
    object: "card",
    name: "Console",
    number: declined ? "4000000000000002" : "4242424242424242",
    cvc: "123",
    expMonth: 12,
    expYear: 2099,
  };
  const body = { amount: which.totalAmount, currency: which.currency, source };
  const payment = await call<Payment>(caller.value, "POST", `/v1/orders/${which.id}/payment`, body);
  await reread(which);
  return payment;
}

export async function cancel(which: Order): Promise<void> {
  await call(caller.value, "DELETE", `/v1/orders/${which.id}`);
  await reread(which);
}

export async function move(which: Order, status: "SHIPPED" | "DELIVERED"): Promise<void> {
  await call(caller.value, "PATCH", `/v1/orders/${which.id}`, { status });
}

/** Visitors hear no events of orders, and read their own. */
async function reread(which: Order): Promise<void> {
  if (acting.value === "visitor")
    keep(orders, await call<Order>(caller.value, "GET", `/v1/orders/${which.id}`));
}
