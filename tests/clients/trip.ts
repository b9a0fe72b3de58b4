// Shared by the three TypeScript clients: the request of the test, and polling as the contract asks.
declare const process: { env: Record<string, string> };

type Offer = { offer_id: string; description: string; starts_on: string; ends_on: string; guests: number };
type Request = {
  customer: { full_name: string; email: string };
  offer: Offer;
  price: { amount: string; currency: string };
  payment_token: string;
  quote: string;
};
type Reservation = {
  status: string;
  supplier_locator?: string | null;
  closed_reason?: string | null;
  documents: { type: "voucher"; url: string }[];
};
export type Outcome = Pick<Reservation, "status" | "supplier_locator" | "closed_reason"> & { documents: number };

export function environment(): { url: string; key: string; request: Request } {
  const { API_URL, API_KEY, REQUEST } = process.env;
  return { url: API_URL, key: API_KEY, request: JSON.parse(REQUEST) };
}

export async function patient(
  read: () => Promise<{ reservation: Reservation; retryAfter: string | null }>,
): Promise<Outcome> {
  for (;;) {
    const { reservation, retryAfter } = await read();
    const { status, supplier_locator, closed_reason, documents } = reservation;
    if (retryAfter === null) return { status, supplier_locator, closed_reason, documents: documents.length };
    await new Promise((done) => setTimeout(done, Number(retryAfter) * 500));
  }
}
