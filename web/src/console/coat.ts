/** The colours of a pet's picture, from the words that describe it. */

const TONES: Record<string, string> = {
  black: "#3d3a3f",
  white: "#f4efe6",
  grey: "#9a9ca3",
  gray: "#9a9ca3",
  blue: "#7d93ad",
  silver: "#b9bec7",
  brown: "#8d6243",
  chocolate: "#6b4630",
  chestnut: "#8c4f33",
  mahogany: "#76402b",
  sable: "#6f5440",
  tabby: "#a1805c",
  golden: "#dda857",
  fawn: "#d3ab7c",
  sand: "#d6bd8d",
  sandy: "#d6bd8d",
  tan: "#c99a63",
  cream: "#eeddb8",
  apricot: "#eab27c",
  peach: "#f2b48f",
  orange: "#e08a3c",
  red: "#b9583a",
  ruby: "#a8473a",
  ruddy: "#b0673f",
  ginger: "#d98a47",
  pink: "#edb3b0",
  lilac: "#c1afc4",
  yellow: "#e9c84a",
  green: "#7ba45a",
  olive: "#8f9456",
  tortoiseshell: "#7a5237",
  brindle: "#8b6b4a",
  tricolor: "#a5673f",
  spotted: "#d0a76d",
  seal: "#e3d2b8",
  salt: "#a7a7a6",
  pepper: "#5f6064",
  harlequin: "#d99a4e",
};
const USUAL: Record<string, string> = {
  DOG: "#c8955c",
  CAT: "#a39a90",
  RABBIT: "#c9b39a",
  BIRD: "#e3b94d",
  REPTILE: "#86a55f",
  OTHER: "#c8a27c",
};
/** The second colour of coats that have one in a word. */
const PATCHES: Record<string, string> = {
  tricolor: "#f4efe6",
  tortoiseshell: "#d18a45",
  brindle: "#5f4632",
  spotted: "#6d4a2c",
  tabby: "#6f5538",
  seal: "#5a4335",
  banded: "#d9c39a",
  bicolor: "#f4efe6",
  harlequin: "#3d3a3f",
};

export interface Coat {
  main: string;
  patch: string;
}

export function coatOf(species: string, color: string | undefined): Coat {
  const words = (color ?? "").toLowerCase().split(/\W+/);
  const tones = words.map((word) => TONES[word]).filter((tone) => tone !== undefined);
  const main = tones[0] ?? USUAL[species] ?? "#c8a27c";
  const patches = words.map((word) => PATCHES[word]).filter((tone) => tone !== undefined);
  return { main, patch: patches[0] ?? tones[1] ?? shade(main, 0.84) };
}

/** A colour, darker (below 1) or lighter (above). */
export function shade(color: string, factor: number): string {
  const channels = [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16));
  return `#${channels
    .map((channel) =>
      Math.min(255, Math.round(channel * factor))
        .toString(16)
        .padStart(2, "0"),
    )
    .join("")}`;
}
