/** @jsxImportSource preact */

import { computed, signal } from "@preact/signals";

import { attempt, notice } from "../console";
import { loading, order, pets, stock } from "../store";
import { SPECIES, type Pet, type Species, type Stock } from "../types";
import { money, nameOfSpecies } from "../words";
import { Picture } from "./Picture";

const PAGE = 12;

const chosen = signal<Species | undefined>(undefined);
const most = signal(PAGE);
/** Pets that are being ordered by this page. */
const busy = signal<ReadonlySet<string>>(new Set());

const total = (status: keyof Stock) =>
  computed(() => [...stock.value.values()].reduce((sum, counts) => sum + counts[status], 0));
const available = total("available");
const pending = total("pending");
const adopted = total("adopted");
const listed = computed(() => {
  const chosenOnes = [...pets.value.values()].filter(
    (pet) => chosen.value === undefined || pet.species === chosen.value,
  );
  // One of each species after another. Those without a price, which classic clients brought, come last.
  const counts = new Map<string, number>();
  const ranked = chosenOnes.map((pet) => {
    const group = `${pet.species} ${isFree(pet)}`;
    const rank = counts.get(group) ?? 0;
    counts.set(group, rank + 1);
    return { pet, rank };
  });
  ranked.sort((one, other) => Number(isFree(one.pet)) - Number(isFree(other.pet)) || one.rank - other.rank);
  return ranked.map(({ pet }) => pet);
});

const isFree = (pet: Pet) => Number(pet.price) === 0;

async function place(pet: Pet) {
  busy.value = new Set(busy.value).add(pet.id);
  await attempt(async () => {
    const placed = await order(pet);
    notice.value = { text: `Order ${placed.number}: ${pet.name} is reserved.`, bad: false };
  });
  const left = new Set(busy.value);
  left.delete(pet.id);
  busy.value = left;
}

export function Pets() {
  const shown = listed.value.slice(0, most.value);
  return (
    <section aria-labelledby="pets-title" class="panel">
      <div class="panel-head">
        <h2 id="pets-title">Pets</h2>
        <p class="quiet">
          {loading.value
            ? "Reading the store…"
            : `${available.value} for sale, ${pending.value} reserved, ${adopted.value} with a home`}
        </p>
      </div>
      <fieldset class="chips">
        <legend class="unseen">Species</legend>
        <Chip name="All" count={available.value} species={undefined} />
        {SPECIES.map((species) => (
          <Chip
            key={species}
            name={nameOfSpecies(species)}
            count={stock.value.get(species)?.available ?? 0}
            species={species}
          />
        ))}
      </fieldset>
      {shown.length === 0 && !loading.value && <p class="empty">No pets here.</p>}
      <ul class="pets">
        {shown.map((pet) => (
          <Card key={pet.id} pet={pet} />
        ))}
      </ul>
      {listed.value.length > shown.length && (
        <button type="button" class="more" onClick={() => (most.value += PAGE)}>
          Show more
        </button>
      )}
    </section>
  );
}

function Chip({ name, count, species }: { name: string; count: number; species: Species | undefined }) {
  return (
    <button
      type="button"
      class="chip"
      aria-pressed={chosen.value === species}
      onClick={() => {
        chosen.value = species;
        most.value = PAGE;
      }}
    >
      {name} <span class="count">{count}</span>
      <span class="unseen"> for sale</span>
    </button>
  );
}

const STATUS = {
  AVAILABLE: "For sale",
  PENDING: "Reserved",
  ADOPTED: "Has a home",
  NOT_AVAILABLE: "Not for sale",
};

function Card({ pet }: { pet: Pet }) {
  const photo = pet.photos.at(-1);
  return (
    <li class={`pet pet-${pet.status.toLowerCase()}`}>
      {photo === undefined ? (
        <Picture pet={pet} />
      ) : (
        <img class="picture" src={photo} alt="" loading="lazy" />
      )}
      <h3>{pet.name}</h3>
      <p class="quiet">{pet.breed ?? nameOfSpecies(pet.species, false)}</p>
      <p class="price">{isFree(pet) ? "Free" : money(pet.price, pet.currency)}</p>
      {pet.status === "AVAILABLE" ? (
        <button
          type="button"
          class="primary"
          disabled={busy.value.has(pet.id)}
          aria-label={`Order ${pet.name}`}
          onClick={() => void place(pet)}
        >
          Order
        </button>
      ) : (
        <p class="badge">{STATUS[pet.status]}</p>
      )}
    </li>
  );
}
