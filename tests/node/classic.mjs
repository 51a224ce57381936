// swagger-client, which Swagger UI is made of: `node classic.mjs <base URL> <tenant>`.
//
// It reads the document at run time, calls operations by their names, and prints what it got as one line of JSON.

import SwaggerClient from "swagger-client";

const [, , url, tenant] = process.argv;
const client = await new SwaggerClient(`${url}/openapi.json`, {
  requestInterceptor: (request) => {
    request.headers["X-Tenant-ID"] = tenant;
    return request;
  },
});
const { pet, store, user } = client.apis;
const json = { requestContentType: "application/json" };
const said = {};
const doggie = { id: 10, name: "doggie", photoUrls: ["a"], tags: [{ id: 1, name: "t" }], status: "available" };

said.added = (await pet.addPet({}, { ...json, requestBody: doggie })).body;
said.form = (
  await pet.addPet({}, { requestContentType: "application/x-www-form-urlencoded", requestBody: { ...doggie, id: 11 } })
).body;
said.got = (await pet.getPetById({ petId: 10 })).body;
said.xml = (await pet.getPetById({ petId: 10 }, { responseContentType: "application/xml" })).text;
said.changed = (await pet.updatePetWithForm({ petId: 10, name: "Rex", status: "sold" })).body;
said.byStatus = (await pet.findPetsByStatus({ status: "sold" })).body;
said.byTags = (await pet.findPetsByTags({ tags: ["t", "u"] })).body.length;
said.inventory = (await store.getInventory()).body;
said.order = (await store.placeOrder({}, { ...json, requestBody: { id: 5, petId: 10, quantity: 1 } })).body;
said.gotOrder = (await store.getOrderById({ orderId: 5 })).body;
said.removedOrder = (await store.deleteOrder({ orderId: 5 })).status;
said.user = (await user.createUser({}, { ...json, requestBody: { username: "ann", userStatus: 1 } })).body;
said.users = (await user.createUsersWithListInput({}, { ...json, requestBody: [{ username: "bea" }] })).body;
const login = await user.loginUser({ username: "ann", password: "12345" });
said.login = [login.text, login.headers["x-rate-limit"], login.headers["x-expires-after"]];
said.removed = (await pet.deletePet({ petId: 10 })).text;
try {
  await pet.getPetById({ petId: 10 });
} catch (error) {
  said.missing = [error.status, error.response.text];
}
process.stdout.write(JSON.stringify(said) + "\n");
