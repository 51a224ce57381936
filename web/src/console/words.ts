/** How things are said on the page. */

import type { Envelope, Order, Pet, Species } from "./types";

const NAMES: Record<Species, [one: string, many: string]> = {
  DOG: ["Dog", "Dogs"],
  CAT: ["Cat", "Cats"],
  RABBIT: ["Rabbit", "Rabbits"],
  BIRD: ["Bird", "Birds"],
  REPTILE: ["Reptile", "Reptiles"],
  OTHER: ["Other", "Others"],
};

export function nameOfSpecies(species: Species, many = true): string {
  return NAMES[species][many ? 1 : 0];
}

export function money(amount: string, currency: string): string {
  return new Intl.NumberFormat("en", { style: "currency", currency }).format(Number(amount));
}

export function timeOf(timestamp: string | number): string {
  return new Date(timestamp).toLocaleTimeString("en-GB");
}

/** An event in a line. */
export function tell({ eventType, data }: Envelope, petName: (id: string) => string | undefined): string {
  const order = data.order as Order | undefined;
  const pet = data.pet as Pet | undefined;
  const named = pet?.name ?? (data.petId === undefined ? undefined : petName(data.petId));
  const [kind, what = ""] = eventType.split(".");
  switch (kind) {
    case "order":
      return `Order ${order?.number ?? ""} is ${String(data.newStatus).toLowerCase()}`;
    case "payment":
      return `Payment of order ${order?.number ?? ""}: ${what}`;
    case "inventory":
      return `${NAMES[data.species ?? "OTHER"][1]}: ${String(data.available)} for sale, ${String(data.pending)} reserved`;
    case "pet":
      if (what === "status_changed")
        return `${named ?? "A pet"} is ${String(data.newStatus).toLowerCase().replace("_", " ")}`;
      if (what === "availability_changed")
        return `${named ?? "A pet"} can${data.available ? "" : "not"} be ordered`;
      return `${named ?? "A pet"}: ${what.replace("_", " ")}`;
    default:
      return `${kind}: ${what.replace("_", " ")}`;
  }
}
