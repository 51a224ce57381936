import "../nonce";
import "@asyncapi/react-component/styles/default.min.css";
import "./page.css";

import AsyncApi from "@asyncapi/react-component/browser/without-parser.js";
import { createRoot } from "react-dom/client";

import { type Document, only, partsOf, resolved } from "./resolved";

// Messages are shown where they are sent; a second list of them, and of their schemas, would be most of the page.
const CONFIG = { show: { messages: false, schemas: false, errors: false } };

/** One part at a time: all of them are so much that browsers take half a minute to draw it. */
function Page({ document, part }: { document: Document; part: string }) {
  return (
    <>
      <nav aria-label="Channels">
        {partsOf(document).map((name) => (
          <a key={name} href={`?${name}`} aria-current={name === part ? "page" : undefined}>
            {name}
          </a>
        ))}
        <a href="asyncapi.json">asyncapi.json</a>
      </nav>
      <AsyncApi schema={resolved(only(document, part))} config={CONFIG} />
    </>
  );
}

const place = window.document.getElementById("asyncapi");
if (place !== null) {
  const answer = await fetch("asyncapi.json");
  const document = (await answer.json()) as Document;
  const [first = ""] = partsOf(document);
  createRoot(place).render(<Page document={document} part={location.search.slice(1) || first} />);
}
