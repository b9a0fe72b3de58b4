import createClient from "openapi-fetch";
import type { paths } from "./generated/openapi-typescript/schema";
import { environment, patient, type Outcome } from "./trip";

export async function travel(): Promise<Outcome> {
  const { url, key, request } = environment();
  const api = createClient<paths>({ baseUrl: url, headers: { "x-api-key": key } });
  const created = await api.POST("/v1/reservations", {
    params: { header: { "Idempotency-Key": crypto.randomUUID() } },
    body: request,
  });
  if (created.error) throw new Error(created.error.code);
  const headers = { Authorization: `Bearer ${created.data.access_token}` };
  const params = { path: { code: created.data.reservation_code } };
  return patient(async () => {
    const { data, response } = await api.GET("/v1/reservations/{code}", { params, headers });
    if (!data) throw new Error(String(response.status));
    return { reservation: data, retryAfter: response.headers.get("Retry-After") };
  });
}
