"""A stranger's mailbox: few mails about what was never paid, and only our words in them."""

import httpx

from tests.e2e.backstage import Backstage
from tests.e2e.travel import a_request, depart, eventually

LIMIT = 3  # an hour, as the template writes it


def test_a_flood_of_declined_reservations_sends_few_mails_of_our_words(
    partner: httpx.Client, backstage: Backstage
) -> None:
    customer = a_request()["customer"] | {"full_name": "Pague ya la plaza"}
    offer = {"description": "Pague ya o perdera su plaza"}
    for _ in range(LIMIT + 2):
        depart(partner, a_request(payment_token="tok_declined", customer=customer, offer=offer))

    def statuses() -> list[str] | None:
        rows = backstage.rows(
            "SELECT m.status FROM mail_send m JOIN customer c"
            " ON c.reservation_id = m.reservation_id WHERE c.email = :email",
            email=customer["email"],
        )
        found = sorted(row["status"] for row in rows)
        return found if found == ["held"] * 2 + ["sent"] * LIMIT else None

    eventually(statuses, of="three mails sent and two held")
    mail = backstage.mail(customer["email"])
    for part in ("plain", "html"):
        body = mail.get_body(preferencelist=(part,))
        assert body is not None
        assert "Pague" not in body.get_content()
