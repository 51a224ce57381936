// Svix's library checks what an endpoint got: `node webhooks.mjs < {"secret", "requests": [{"headers", "body"}]}`.
//
// Prints one line of JSON: for each request whether it is taken.
import { readFileSync } from "node:fs";
import { Webhook, WebhookVerificationError } from "svix";

const { secret, requests } = JSON.parse(readFileSync(0, "utf8"));
const webhook = new Webhook(secret);
const taken = requests.map(({ headers, body }) => {
  try {
    webhook.verify(body, headers);
    return true;
  } catch (error) {
    if (error instanceof WebhookVerificationError) return false;
    throw error;
  }
});
console.log(JSON.stringify(taken));
