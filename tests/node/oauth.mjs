// Every flow with oauth4webapi: it prints where the browser must go, reads where the browser was led back to, and
// prints what came of it. Arguments: the gateway's URL, client id, secret, redirect URI.
import * as oauth from "oauth4webapi";
import { createInterface } from "node:readline";

const [url, clientId, secret, redirectUri] = process.argv.slice(2);
const local = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(url);
const discovered = await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...local });
const server = await oauth.processDiscoveryResponse(issuer, discovered);
const client = { client_id: clientId };
const authentication = oauth.ClientSecretBasic(secret);

const verifier = oauth.generateRandomCodeVerifier();
const state = oauth.generateRandomState();
const ask = new URL(server.authorization_endpoint);
ask.search = new URLSearchParams({
  client_id: clientId,
  redirect_uri: redirectUri,
  response_type: "code",
  scope: "read:pets read:orders",
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
  state,
});
console.log(ask.href);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const ledTo = new URL((await lines.next()).value);

const mixedUp = new URL(ledTo);
mixedUp.searchParams.set("iss", "https://evil.example");
let mixUp = "accepted";
try {
  oauth.validateAuthResponse(server, client, mixedUp, state);
} catch {
  mixUp = "refused";
}

const parameters = oauth.validateAuthResponse(server, client, ledTo, state);
const redeemed = await oauth.authorizationCodeGrantRequest(
  server, client, authentication, parameters, redirectUri, verifier, local,
);
const tokens = await oauth.processAuthorizationCodeResponse(server, client, redeemed);

const refreshed = await oauth.processRefreshTokenResponse(
  server, client, await oauth.refreshTokenGrantRequest(server, client, authentication, tokens.refresh_token, local),
);
const pets = await oauth.protectedResourceRequest(
  refreshed.access_token, "GET", new URL("/v1/pets?limit=1", url), undefined, undefined, local,
);
const introspect = async (token) =>
  oauth.processIntrospectionResponse(
    server, client, await oauth.introspectionRequest(server, client, authentication, token, local),
  );
const before = await introspect(refreshed.access_token);
await oauth.processRevocationResponse(
  await oauth.revocationRequest(server, client, authentication, refreshed.refresh_token, local),
);
const after = await introspect(refreshed.access_token);

const own = await oauth.processClientCredentialsResponse(
  server, client,
  await oauth.clientCredentialsGrantRequest(server, client, authentication, { scope: "read:orders" }, local),
);
console.log(JSON.stringify({
  mixUp,
  scope: tokens.scope,
  rotated: refreshed.refresh_token !== tokens.refresh_token,
  pets: pets.status,
  before: before.active,
  after: after.active,
  own: own.scope,
}));
process.exit(0);
