// A JavaScript client made from the .proto files alone: reads a pet, orders it, and watches that happen.
// Arguments: the address, the folder with the .proto files. Prints one JSON line for each thing that it sees.
import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const [address, folder] = process.argv.slice(2);
const files = ["pets", "orders", "events", "chats", "users", "inventory"].map((name) => `petstore/v1/${name}.proto`);
const loaded = loadSync(files, { includeDirs: [folder], enums: String, longs: Number, keepCase: true, oneofs: true });
const { v1 } = grpc.loadPackageDefinition(loaded).petstore;
const credentials = grpc.credentials.createInsecure();
const pets = new v1.PetService(address, credentials);
const orders = new v1.OrderService(address, credentials);
const events = new v1.EventService(address, credentials);

const say = (name, data) => console.log(JSON.stringify({ name, ...data }));
const call = (client, method, request) =>
  new Promise((resolve, reject) => client[method](request, (error, answer) => (error ? reject(error) : resolve(answer))));

const stream = events.Subscribe({ topics: ["pets/+/status"] });
await new Promise((resolve) => stream.on("metadata", (metadata) => resolve(say("open", { cursor: metadata.get("x-cursor")[0] }))));
const heard = new Promise((resolve) => stream.on("data", (batch) => batch.events.forEach(resolve)));
stream.on("error", () => {});

const { pets: [pet] } = await call(pets, "ListPets", { limit: 1 });
say("pet", { pet: await call(pets, "GetPet", { id: pet.id }) });
const order = await call(orders, "PlaceOrder", { pet_id: pet.id });
say("order", { status: order.status, total: order.total_amount });
const event = await heard;
say("event", { type: event.event_type, cursor: event.cursor, petId: event.data.fields.petId.stringValue });
await call(orders, "PlaceOrder", { pet_id: pet.id }).catch((error) => say("refused", { code: error.code }));
stream.cancel();
