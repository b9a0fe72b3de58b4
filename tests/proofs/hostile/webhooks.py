"""Signed webhooks of the providers, by https://www.standardwebhooks.com."""

import json
from datetime import datetime, timedelta

from tests.proofs.hostile.rows import Kind, Row
from tests.proofs.hostile.service import Service
from tests.worlds.signing import PAYMENTS_SECRET, SUPPLIER_SECRET, signed_headers

SECRETS = {"payments": PAYMENTS_SECRET, "supplier": SUPPLIER_SECRET}
UNHEARD = (
    "charge.dispute.funds_withdrawn", "payment.risk_reviewed", "refund.returned_by_bank",
    "reservation_modified", "booking.v2.amended", "PING", "",
)  # fmt: skip
_OFTEN_KNOWN = 0.7


class Webhook:
    """One notice. Each delivery has the same id, and a timestamp of its own."""

    def __init__(
        self, service: Service, row: Row, kind: str, *, number: int, sure: bool = False
    ) -> None:
        self.service = service
        self.row = row
        self._skew = timedelta(0) if sure else service.skew
        self.reference = row.reference
        self.webhook_id = f"wh_{number}"
        self.type = _type_of(row, kind, 0 if sure else service.outside.random.random())
        self._subject = {
            "reference": row.reference,
            "booking_id" if row.kind is Kind.BOOKING else "payment_id": (row.payment or row).id,
        }

    def delivery(self, now: datetime) -> tuple[dict[str, str], bytes]:
        """Headers and body of a delivery, by the provider's clock."""
        at = now + self._skew
        notice = {"type": self.type, "timestamp": at.isoformat(), "data": self._subject}
        body = json.dumps(notice).encode()
        headers = signed_headers(
            SECRETS[self.service.name],
            webhook_id=self.webhook_id,
            timestamp=int(at.timestamp()),
            body=body,
        )
        return headers, body


def _type_of(row: Row, kind: str, chance: float) -> str:
    """The contract's word, or one that nobody here has heard of. `chance` is between 0 and 1."""
    if chance >= _OFTEN_KNOWN:
        return UNHEARD[int((chance - _OFTEN_KNOWN) / (1 - _OFTEN_KNOWN) * len(UNHEARD))]
    subject = {Kind.PAYMENT: "payment", Kind.REFUND: "refund", Kind.BOOKING: "booking"}[row.kind]
    return f"{subject}.{kind}"
