/** @jsxImportSource preact */

import { computed } from "@preact/signals";

import { attempt, notice } from "../console";
import { acting } from "../session";
import { cancel, move, orders, pay, pets } from "../store";
import type { Order, OrderStatus } from "../types";
import { money } from "../words";

const STEPS: OrderStatus[] = ["PLACED", "APPROVED", "SHIPPED", "DELIVERED"];
const MOST = 8;

const newest = computed(() =>
  [...orders.value.values()]
    .sort((one, other) => other.updatedAt.localeCompare(one.updatedAt))
    .slice(0, MOST),
);

async function payFor(order: Order, declined: boolean) {
  await attempt(async () => {
    const payment = await pay(order, declined);
    notice.value =
      payment.status === "FAILED"
        ? { text: `The card was declined: ${payment.failureReason ?? "no reason given"}`, bad: true }
        : { text: `Order ${order.number} is paid.`, bad: false };
  });
}

export function Orders() {
  return (
    <section aria-labelledby="orders-title" class="panel">
      <div class="panel-head">
        <h2 id="orders-title">Orders</h2>
        <p class="quiet">
          {acting.value === "staff"
            ? "Everybody's"
            : acting.value === "customer"
              ? "Your own"
              : "Those of this page"}
        </p>
      </div>
      {newest.value.length === 0 ? (
        <p class="empty">Order a pet above, and watch the doors light up.</p>
      ) : (
        <ul class="orders">
          {newest.value.map((order) => (
            <Row key={order.id} order={order} />
          ))}
        </ul>
      )}
    </section>
  );
}

function Row({ order }: { order: Order }) {
  const names = order.items.map((item) => pets.value.get(item.petId)?.name ?? "a pet").join(", ");
  return (
    <li class="order">
      <p class="order-title">
        <strong>Order {order.number}</strong> {names}{" "}
        <span class="quiet">{money(order.totalAmount, order.currency)}</span>
      </p>
      <Track status={order.status} />
      <div class="actions">
        <Actions order={order} />
      </div>
    </li>
  );
}

function Actions({ order }: { order: Order }) {
  const staff = acting.value === "staff";
  const name = (what: string) => `${what} order ${order.number}`;
  const button = (what: string, action: () => Promise<unknown>, primary = false) => (
    <button
      type="button"
      class={primary ? "primary" : ""}
      aria-label={name(what)}
      onClick={() => void attempt(action)}
    >
      {what}
    </button>
  );
  switch (order.status) {
    case "PLACED":
      return (
        <>
          {button("Pay", () => payFor(order, false), true)}
          {button("Pay with a bad card", () => payFor(order, true))}
          {button("Cancel", () => cancel(order))}
        </>
      );
    case "APPROVED":
      return (
        <>
          {staff && button("Ship", () => move(order, "SHIPPED"), true)}
          {button("Cancel", () => cancel(order))}
        </>
      );
    case "SHIPPED":
      return staff ? button("Deliver", () => move(order, "DELIVERED"), true) : null;
    default:
      return null;
  }
}

function Track({ status }: { status: OrderStatus }) {
  if (status === "CANCELLED") return <p class="track-cancelled">Cancelled</p>;
  const reached = STEPS.indexOf(status);
  return (
    <ol class="track">
      {STEPS.map((step, index) => (
        <li
          key={step}
          class={index <= reached ? "reached" : ""}
          aria-current={index === reached ? "step" : undefined}
        >
          {step.toLowerCase()}
        </li>
      ))}
    </ol>
  );
}
