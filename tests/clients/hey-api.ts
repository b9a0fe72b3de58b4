import { client } from "./generated/hey-api/client.gen";
import { createReservation, getReservation } from "./generated/hey-api/index";
import { environment, patient, type Outcome } from "./trip";

export async function travel(): Promise<Outcome> {
  const { url, key, request } = environment();
  client.setConfig({ baseUrl: url, auth: (scheme) => (scheme.type === "apiKey" ? key : token) });
  let token = "";
  const headers = { "Idempotency-Key": crypto.randomUUID() };
  const created = await createReservation({ body: request, headers });
  if (created.error) throw new Error(created.error.code);
  token = created.data.access_token;
  const path = { code: created.data.reservation_code };
  return patient(async () => {
    const { data, response } = await getReservation({ path, throwOnError: true });
    return { reservation: data, retryAfter: response.headers.get("Retry-After") };
  });
}
