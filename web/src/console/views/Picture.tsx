/** @jsxImportSource preact */
/** Drawn pets: one face for each species, and for some breeds, in the pet's colours. */

import type { ComponentChild } from "preact";

import { coatOf, shade, type Coat } from "../coat";
import type { Pet } from "../types";

const DARK = "#2b2320";
const ROSE = "#e79a93";

/** The picture of a pet; what it shows is said beside it, so that it is hidden from screen readers. */
export function Picture({ pet }: { pet: Pick<Pet, "species" | "breed" | "color" | "name"> }) {
  const coat = coatOf(pet.species, pet.color);
  return (
    <svg class="picture" viewBox="0 0 96 96" aria-hidden="true" focusable="false">
      {drawingOf(pet.species, pet.breed ?? pet.name)(coat)}
    </svg>
  );
}

type Drawing = (coat: Coat) => ComponentChild;

function drawingOf(species: string, breed: string): Drawing {
  const [, drawing] = BREEDS.find(([words]) => words.test(breed)) ?? [];
  return drawing ?? SPECIES[species] ?? rodent;
}

const eyes = (y: number, apart: number, size = 4) =>
  [48 - apart, 48 + apart].map((x) => (
    <g key={x}>
      <circle cx={x} cy={y} r={size} fill={DARK} />
      <circle cx={x + size / 3} cy={y - size / 3} r={size / 3} fill="#fff" />
    </g>
  ));

const mouth = (y: number) => (
  <path d={`M40 ${y}q4 5 8 0q4 5 8 0`} fill="none" stroke={DARK} stroke-width="2" stroke-linecap="round" />
);

const dog: Drawing = ({ main, patch }) => (
  <>
    <ellipse cx="48" cy="52" rx="28" ry="30" fill={main} />
    <path d="M26 28C10 26 8 56 20 62C28 60 30 44 32 34z" fill={shade(main, 0.72)} />
    <path d="M70 28C86 26 88 56 76 62C68 60 66 44 64 34z" fill={shade(main, 0.72)} />
    <ellipse cx="60" cy="45" rx="11" ry="13" fill={patch} />
    <ellipse cx="48" cy="65" rx="16" ry="13" fill={shade(main, 1.18)} />
    {eyes(47, 12)}
    <path d="M42 58h12q0 7-6 7t-6-7z" fill={DARK} />
    {mouth(68)}
    <path d="M44 73q4 10 8 0z" fill={ROSE} />
  </>
);

const longDog: Drawing = (coat) => (
  <>
    {dog(coat)}
    <path d="M30 26q18-16 36 0q-18-6-36 0z" fill={shade(coat.main, 0.85)} />
  </>
);

const cat: Drawing = ({ main, patch }) => (
  <>
    <path d="M20 14L24 50L50 34z" fill={main} />
    <path d="M76 14L72 50L46 34z" fill={main} />
    <path d="M25 23L28 42L39 34z" fill={ROSE} />
    <path d="M71 23L68 42L57 34z" fill={ROSE} />
    <ellipse cx="48" cy="55" rx="30" ry="26" fill={main} />
    <path d="M42 31q6 12 12 0l-2 15h-8z" fill={patch} />
    <path
      d="M20 52q8 2 10 8M76 52q-8 2-10 8"
      fill="none"
      stroke={patch}
      stroke-width="4"
      stroke-linecap="round"
    />
    <ellipse cx="48" cy="67" rx="13" ry="9" fill={shade(main, 1.18)} />
    {eyes(53, 13, 5)}
    <path d="M44 61h8l-4 5z" fill={ROSE} />
    {mouth(68)}
    <path
      d="M14 60l14 3M14 69l14-2M82 60l-14 3M82 69l-14-2"
      stroke={DARK}
      stroke-width="1.200"
      opacity="0.600"
    />
  </>
);

const rabbit: Drawing = ({ main, patch }) => (
  <>
    <ellipse cx="36" cy="26" rx="9" ry="24" fill={main} />
    <ellipse cx="60" cy="26" rx="9" ry="24" fill={main} />
    <ellipse cx="36" cy="27" rx="4.500" ry="17" fill={ROSE} />
    <ellipse cx="60" cy="27" rx="4.500" ry="17" fill={ROSE} />
    <ellipse cx="48" cy="62" rx="27" ry="26" fill={main} />
    <path d="M22 56a27 26 0 0 1 20-19q-6 14-2 26q-10 4-18-7z" fill={patch} />
    <ellipse cx="48" cy="73" rx="14" ry="10" fill={shade(main, 1.18)} />
    {eyes(58, 13, 4.5)}
    <path d="M44 66h8l-4 5z" fill={ROSE} />
    {mouth(73)}
    <path d="M44 77h8v7h-8z" fill="#fff" stroke={DARK} stroke-width="1" />
  </>
);

const lop: Drawing = (coat) => (
  <>
    {rabbit({ ...coat })}
    <path d="M28 40C8 40 8 76 18 80C28 78 30 56 32 46z" fill={shade(coat.main, 0.85)} />
    <path d="M68 40C88 40 88 76 78 80C68 78 66 56 64 46z" fill={shade(coat.main, 0.85)} />
  </>
);

const bird: Drawing = ({ main, patch }) => (
  <>
    <path d="M44 14q2-12 8-8q-2 4 0 10z" fill={patch} />
    <ellipse cx="48" cy="54" rx="26" ry="34" fill={main} />
    <path d="M22 52q-6 24 12 32q6-18-2-36z" fill={patch} />
    <path d="M74 52q6 24-12 32q-6-18 2-36z" fill={patch} />
    <ellipse cx="48" cy="68" rx="13" ry="18" fill={shade(main, 1.18)} />
    {eyes(40, 11, 4.5)}
    <path d="M40 48h16q-2 12-8 14q-6-2-8-14z" fill="#e48b34" />
    <path d="M41 52h14" stroke="#b5651f" stroke-width="1.500" />
    <path d="M40 87v5M37 92h6M56 87v5M53 92h6" stroke="#b5651f" stroke-width="2.500" stroke-linecap="round" />
  </>
);

const gecko: Drawing = ({ main, patch }) => (
  <>
    <path d="M70 66q22 2 16-22q2 14-14 10z" fill={main} />
    <path d="M48 20q24 0 30 26q2 22-14 30q-16 8-32 0q-16-8-14-30q6-26 30-26z" fill={main} />
    {[
      [34, 34],
      [60, 32],
      [48, 27],
    ].map(([cx, cy]) => (
      <circle key={cx} cx={cx} cy={cy} r="4" fill={patch} />
    ))}
    <ellipse cx="48" cy="66" rx="24" ry="12" fill={shade(main, 1.18)} />
    <circle cx="30" cy="47" r="8" fill="#f6e7a8" />
    <circle cx="66" cy="47" r="8" fill="#f6e7a8" />
    <ellipse cx="30" cy="47" rx="2.500" ry="7" fill={DARK} />
    <ellipse cx="66" cy="47" rx="2.500" ry="7" fill={DARK} />
    <path d="M28 66q20 12 40 0" fill="none" stroke={DARK} stroke-width="2.200" stroke-linecap="round" />
    <path d="M44 59h1M51 59h1" stroke={DARK} stroke-width="2.500" stroke-linecap="round" />
  </>
);

const snake: Drawing = ({ main, patch }) => (
  <>
    <ellipse cx="48" cy="72" rx="36" ry="14" fill="none" stroke={main} stroke-width="13" />
    <ellipse
      cx="48"
      cy="72"
      rx="36"
      ry="14"
      fill="none"
      stroke={patch}
      stroke-width="5"
      stroke-dasharray="9 8"
    />
    <path d="M52 60q-14-10-4-26" fill="none" stroke={main} stroke-width="14" stroke-linecap="round" />
    <ellipse cx="50" cy="28" rx="20" ry="15" fill={main} />
    <path d="M46 16q6 8 12 0z" fill={patch} />
    <circle cx="42" cy="26" r="3.500" fill={DARK} />
    <circle cx="60" cy="26" r="3.500" fill={DARK} />
    <path d="M42 35q9 5 18 0" fill="none" stroke={DARK} stroke-width="2" stroke-linecap="round" />
    <path
      d="M51 38v7m0 0l-3 4m3-4l3 4"
      fill="none"
      stroke="#c8443b"
      stroke-width="2"
      stroke-linecap="round"
    />
  </>
);

const tortoise: Drawing = ({ main, patch }) => (
  <>
    <ellipse cx="24" cy="78" rx="9" ry="8" fill={shade(main, 1.1)} />
    <ellipse cx="58" cy="78" rx="9" ry="8" fill={shade(main, 1.1)} />
    <circle cx="78" cy="54" r="14" fill={shade(main, 1.15)} />
    <path d="M8 72q2-48 34-48t34 48z" fill={main} />
    <path d="M42 28l12 12-4 16H34l-4-16zM20 50l10 6-2 14H14zM64 50l-10 6 2 14h14z" fill={patch} />
    <circle cx="82" cy="51" r="3" fill={DARK} />
    <path d="M79 60q6 3 10-2" fill="none" stroke={DARK} stroke-width="2" stroke-linecap="round" />
  </>
);

const rodent: Drawing = ({ main, patch }) => (
  <>
    <circle cx="26" cy="30" r="13" fill={main} />
    <circle cx="70" cy="30" r="13" fill={main} />
    <circle cx="26" cy="30" r="7" fill={ROSE} />
    <circle cx="70" cy="30" r="7" fill={ROSE} />
    <ellipse cx="48" cy="57" rx="32" ry="29" fill={main} />
    <path d="M48 28q18 2 26 20q-14 8-22 0q-6-8-4-20z" fill={patch} />
    <ellipse cx="33" cy="67" rx="13" ry="11" fill={shade(main, 1.15)} />
    <ellipse cx="63" cy="67" rx="13" ry="11" fill={shade(main, 1.15)} />
    {eyes(52, 14, 4.5)}
    <ellipse cx="48" cy="62" rx="4" ry="3" fill={ROSE} />
    {mouth(67)}
    <path d="M45 71h6v6h-6z" fill="#fff" stroke={DARK} stroke-width="0.800" />
  </>
);

const hedgehog: Drawing = ({ main }) => (
  <>
    <path
      d="M48 8l7 9 10-5 3 11 11-1-1 12 11 3-6 10 8 8-9 6 5 10-11 3H20L9 71l5-10-9-6 8-8-6-10 11-3-1-12 11 1 3-11 10 5z"
      fill={shade(main, 0.7)}
    />
    <ellipse cx="48" cy="60" rx="24" ry="23" fill="#ecd6b4" />
    {eyes(54, 10)}
    <circle cx="48" cy="65" r="5" fill={DARK} />
    {mouth(72)}
  </>
);

const pig: Drawing = ({ main, patch }) => (
  <>
    <path d="M18 18q20 0 22 20l-18 6z" fill={shade(main, 0.85)} />
    <path d="M78 18q-20 0-22 20l18 6z" fill={shade(main, 0.85)} />
    <ellipse cx="48" cy="55" rx="31" ry="29" fill={main} />
    <ellipse cx="64" cy="42" rx="10" ry="9" fill={patch} opacity="0.700" />
    {eyes(47, 14)}
    <ellipse cx="48" cy="63" rx="14" ry="10" fill={shade(main, 0.88)} />
    <circle cx="43" cy="63" r="2.500" fill={DARK} />
    <circle cx="53" cy="63" r="2.500" fill={DARK} />
    {mouth(76)}
  </>
);

const goat: Drawing = ({ main, patch }) => (
  <>
    <path d="M38 28q-12-4-10-22q10 4 14 20zM58 28q12-4 10-22q-10 4-14 20z" fill="#8d8272" />
    <path d="M26 40Q6 36 8 50q12 6 20 2zM70 40q20-4 18 10q-12 6-20 2z" fill={shade(main, 0.8)} />
    <path d="M48 22q22 0 22 26q0 34-22 36q-22-2-22-36q0-26 22-26z" fill={main} />
    <path d="M42 23h12l-2 30h-8z" fill={patch} />
    {eyes(48, 13)}
    <path d="M43 68h10l-5 5z" fill={ROSE} />
    {mouth(74)}
    <path d="M42 82h12l-6 13z" fill={shade(main, 0.8)} />
  </>
);

const lion: Drawing = (coat) => (
  <>
    <circle cx="48" cy="50" r="42" fill={shade(coat.main, 0.62)} />
    {cat({ ...coat, patch: coat.main })}
  </>
);

const SPECIES: Record<string, Drawing> = {
  DOG: dog,
  CAT: cat,
  RABBIT: rabbit,
  BIRD: bird,
  REPTILE: gecko,
  OTHER: rodent,
};
const BREEDS: [words: RegExp, drawing: Drawing][] = [
  [/python|snake/i, snake],
  [/tortoise$|turtle/i, tortoise],
  [/^lion \d/i, lion],
  [/hedgehog/i, hedgehog],
  [/miniature pig/i, pig],
  [/goat/i, goat],
  [/\blop$/i, lop],
  [/poodle|schnauzer|setter|collie|retriever/i, longDog],
];
