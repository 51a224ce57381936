import { readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const compress = promisify(gzip);

/** Writes a compressed copy beside each asset. */
const compressed: Plugin = {
  name: "compressed",
  async writeBundle({ dir = "" }, bundle) {
    const assets = Object.keys(bundle).filter((name) => name.startsWith("v1/assets/"));
    await Promise.all(
      assets.map(async (name) => {
        const file = join(dir, name);
        await writeFile(`${file}.gz`, await compress(await readFile(file), { level: 9 }));
      }),
    );
  },
};

const BUNDLE = "node_modules/@asyncapi/react-component/browser/without-parser.js";

/**
 * AsyncAPI's component compiles schemas to code as it is loaded, for checking documents, which our page never does and its
 * policy forbids: what would be compiled says yes to everything.
 */
const nothingCompiled: Plugin = {
  name: "nothing-compiled",
  transform(code, id) {
    if (!id.endsWith(BUNDLE)) return null;
    return { code: code.replaceAll("new Function(", "(() => () => () => true)("), map: null };
  },
  // It comes bundled, with the licences of what is in it beside it.
  async generateBundle() {
    const source = await readFile(`${BUNDLE}.LICENSE.txt`, "utf8");
    this.emitFile({ type: "asset", fileName: "licenses-asyncapi.txt", source });
  },
};

/** The versions of the clients that the console has, for its footer. */
const versions = Object.fromEntries(
  ["preact", "socket.io-client", "graphql-ws", "mqtt"].map((name) => [
    name,
    JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url), "utf8")).version,
  ]),
);

// What is built lies as it is addressed, so that pages name their assets relative to themselves, under whatever path a
// proxy shows the gateway.
export default defineConfig({
  base: "./",
  publicDir: false,
  // The gateway puts another nonce in its place each time.
  html: { cspNonce: "NONCE" },
  define: { __VERSIONS__: versions },
  plugins: [nothingCompiled, compressed],
  build: {
    outDir: "../protocols/http/built",
    emptyOutDir: true,
    assetsDir: "v1/assets",
    // A policy that admits data: addresses would admit more than ours.
    assetsInlineLimit: 0,
    // Monaco, an editor, is one chunk.
    chunkSizeWarningLimit: 3000,
    license: { fileName: "licenses.md" },
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      input: ["index.html", "v1/asyncapi-ui.html", "v1/graphql.html"],
      // Libraries mark modules for React's servers, of which there is none.
      checks: { moduleLevelDirective: false },
    },
  },
  worker: { format: "es" },
});
