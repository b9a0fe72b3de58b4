import { createReservation, getReservation } from "./generated/orval/api";
import { environment, patient, type Outcome } from "./trip";

export async function travel(): Promise<Outcome> {
  const { key, request } = environment();
  const headers = { "x-api-key": key, "Idempotency-Key": crypto.randomUUID() };
  const created = await createReservation(request, { headers });
  if (created.status !== 202) throw new Error(created.data.code);
  const authorization = `Bearer ${created.data.access_token}`;
  return patient(async () => {
    const found = await getReservation(created.data.reservation_code, {
      headers: { "x-api-key": key, Authorization: authorization },
    });
    if (found.status !== 200) throw new Error(String(found.status));
    return { reservation: found.data, retryAfter: found.headers.get("Retry-After") };
  });
}
