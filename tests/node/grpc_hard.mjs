// A JavaScript client on a bad line: compressed calls, calls that are retried by themselves, calls that their deadline cuts
// off. Arguments: the address, the folder with the .proto files, a token. Prints one JSON line for each thing that it sees.
import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const [address, folder, token] = process.argv.slice(2);
const files = ["pets", "orders"].map((name) => `petstore/v1/${name}.proto`);
const loaded = loadSync(files, { includeDirs: [folder], enums: String, longs: Number, keepCase: true, oneofs: true });
const { v1 } = grpc.loadPackageDefinition(loaded).petstore;
const credentials = grpc.credentials.createInsecure();
const draft = { name: "Biscuit", species: "DOG", age_months: 14, price: "350.10", description: "good ".repeat(700) };

const say = (name, data) => console.log(JSON.stringify({ name, ...data }));
const call = (client, method, request, key, options = {}) =>
  new Promise((resolve) => {
    const metadata = new grpc.Metadata();
    metadata.set("authorization", `Bearer ${token}`);
    if (key) metadata.set("idempotency-key", key);
    const told = {};
    client[method](request, metadata, options, (error, answer) => {
      told.error = error;
      told.answer = answer;
      resolve(told);
    }).on("status", (status) => (told.status = status));
  });

for (const [name, algorithm] of [["deflate", 1], ["gzip", 2]]) {
  const pets = new v1.PetService(address, credentials, { "grpc.default_compression_algorithm": algorithm });
  const { answer, error } = await call(pets, "CreatePet", draft);
  say("compressed", { algorithm: name, description: answer?.description, error: error?.details });
}

const retryPolicy = {
  maxAttempts: 5, initialBackoff: "0.01s", maxBackoff: "0.05s", backoffMultiplier: 2, retryableStatusCodes: ["UNAVAILABLE"],
};
const retrying = new v1.PetService(address, credentials, {
  "grpc.service_config": JSON.stringify({ methodConfig: [{ name: [{}], retryPolicy }] }),
});
say("retried", { id: (await call(retrying, "CreatePet", draft, "retried")).answer?.id });

// Deadlines from none at all to enough: each call is done or not, and asked again with its key, it is done once.
const pets = new v1.PetService(address, credentials);
const orders = new v1.OrderService(address, credentials);
for (let milliseconds = 1; milliseconds <= 30; milliseconds += 1) {
  const { answer: pet } = await call(pets, "CreatePet", draft);
  const request = [{ pet_id: pet.id }, `order ${pet.id}`];
  const first = await call(orders, "PlaceOrder", ...request, { deadline: Date.now() + milliseconds });
  let again;
  do again = await call(orders, "PlaceOrder", ...request);
  while (again.error?.code === grpc.status.FAILED_PRECONDITION && again.error.details.includes("still running"));
  say("cut off", {
    code: first.error?.code ?? 0,
    same: !first.answer || first.answer.id === again.answer?.id,
    pet: pet.id,
    order: again.answer?.id,
    error: again.error?.details,
  });
}
