// Make a reservation on the local stack and store its voucher: node docs/ejemplos/reservar.mjs
import { readFile, writeFile } from "node:fs/promises";

const stack = JSON.parse(await readFile(".local/stack.json", "utf8"));
const json = { "Content-Type": "application/json", "x-api-key": stack.api_keys.web };

async function send(url, options = {}) {
  const answer = await fetch(url, { ...options, headers: { ...json, ...options.headers } });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return { body: await answer.json(), retryAfter: Number(answer.headers.get("Retry-After")) };
}
const post = (url, body, headers) => send(url, { method: "POST", body: JSON.stringify(body), headers });

const { offers } = (await send(`${stack.offers_url}/offers`)).body;
const { quote } = (await post(`${stack.offers_url}/quotes`, { ...offers[0], client_id: "web" })).body;
const request = {
  ...offers[0],
  quote,
  customer: { full_name: "Ana Pérez", email: "ana@example.com" },
  payment_token: `tok_ok-${crypto.randomUUID()}`,
};
const headers = { "Idempotency-Key": crypto.randomUUID() };
const { body: created } = await post(`${stack.api_url}/v1/reservations`, request, headers);
const owner = { headers: { Authorization: `Bearer ${created.access_token}`, Accept: "application/json" } };

let reservation, retryAfter;
do {
  ({ body: reservation, retryAfter } = await send(created._links.self, owner));
  console.log(reservation.reservation_code, reservation.status);
  await new Promise((done) => setTimeout(done, retryAfter * 1000));
} while (retryAfter);

const link = (await send(`${created._links.self}/voucher`, owner)).body;
const pdf = await (await fetch(link.url)).arrayBuffer();
await writeFile(".local/voucher.pdf", Buffer.from(pdf));
console.log(".local/voucher.pdf", pdf.byteLength, "bytes");
