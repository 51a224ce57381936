// AsyncAPI's official parser: `node asyncapi.mjs < document`.
//
// Output: a line of JSON for each diagnostic, {"severity", "code", "path", "message"} with severities 0 (error) to 3 (hint), then
// {"channels", "operations", "messages"}, which count what it found; null when it could not read the document.

import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
for (const { severity, code, path, message } of diagnostics) say({ severity, code, path, message });
say(
  document
    ? {
        channels: document.channels().all().length,
        operations: document.operations().all().length,
        messages: document.components().messages().all().length,
      }
    : null,
);
