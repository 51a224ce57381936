// OpenAI's own client asks the advisor: whole, streamed, and what it may not; prints one line of JSON.
import OpenAI from "openai";

const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const question = { model: "pet-advisor-1", messages: [{ role: "user", content: "a small dog under $300" }] };

const whole = await client.chat.completions.create(question);
const stream = await client.chat.completions.create({
  ...question,
  stream: true,
  stream_options: { include_usage: true },
});
let text = "";
let usage = null;
for await (const chunk of stream) {
  text += chunk.choices[0]?.delta.content ?? "";
  usage = chunk.usage ?? usage;
}
const models = [];
for await (const model of client.models.list()) models.push(model.id);
const refused = await client.chat.completions.create({ ...question, n: 2 }).catch((error) => error);
console.log(
  JSON.stringify({
    content: whole.choices[0].message.content,
    finish: whole.choices[0].finish_reason,
    text,
    usages: [whole.usage, usage],
    models,
    refused: [refused.status, refused.type, refused.param],
  }),
);
