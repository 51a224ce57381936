// The device grant with oauth4webapi: it prints what a device shows, polls until its user has decided, and prints what came
// of it. Arguments: the gateway's URL, client id.
import * as oauth from "oauth4webapi";

const [url, clientId] = process.argv.slice(2);
const local = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(url);
const discovered = await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...local });
const server = await oauth.processDiscoveryResponse(issuer, discovered);
const client = { client_id: clientId };
const authentication = oauth.None();

const asked = await oauth.deviceAuthorizationRequest(
  server, client, authentication, new URLSearchParams({ scope: "read:orders" }), local,
);
const codes = await oauth.processDeviceAuthorizationResponse(server, client, asked);
console.log(codes.verification_uri_complete);

let interval = codes.interval;
const errors = [];
for (;;) {
  await new Promise((resolve) => setTimeout(resolve, interval * 1000));
  const answer = await oauth.deviceCodeGrantRequest(server, client, authentication, codes.device_code, local);
  try {
    const tokens = await oauth.processDeviceCodeResponse(server, client, answer);
    console.log(JSON.stringify({ errors: [...new Set(errors)], scope: tokens.scope, type: tokens.token_type }));
    break;
  } catch (error) {
    if (!(error instanceof oauth.ResponseBodyError)) throw error;
    errors.push(error.error);
    if (error.error === "slow_down") interval += 5;
    else if (error.error !== "authorization_pending") throw error;
  }
}
