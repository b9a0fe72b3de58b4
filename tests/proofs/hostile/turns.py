"""Changes of a provider's mind: each contradicts what it said before, or undoes what we stand on.

A turn takes both services and a reference. It returns the changed row with its service, or `None`
where there is nothing to change.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from tests.proofs.hostile.payments import PaymentsService
from tests.proofs.hostile.rows import GOOD, PENDING, Kind, Row
from tests.proofs.hostile.service import Service
from tests.proofs.hostile.supplier import SupplierService

Changed = tuple[Service, Row]
_FOR = tuple(timedelta(minutes=minutes) for minutes in (2, 9, 40, 540, 3 * 1440, 60 * 1440))
_EVER = timedelta(days=3650)
_MISTAKEN = 0.3  # of the refunds that are told to be rejected: the money is returned
_DISPUTED_FOR = tuple(timedelta(days=days) for days in (0.1, 3, 40))


@dataclass(frozen=True, slots=True)
class Both:
    """The two services of a schedule, and the seed."""

    payments: PaymentsService
    supplier: SupplierService
    random: Random

    def payment(self, reference: str) -> Row | None:
        """The first payment that stands."""
        rows = self.payments.of(reference, Kind.PAYMENT)
        return next((row for row in rows if row.good), None)

    def booking(self, reference: str) -> Row | None:
        rows = self.supplier.of(reference, Kind.BOOKING)
        return next((row for row in rows if row.good), None)


# --- the supplier


def booking_vanishes(both: Both, reference: str) -> Changed | None:
    """The room is gone, and its row with it."""
    if (row := both.booking(reference)) is None:
        return None
    row.gone = True
    return both.supplier, row


def booking_hides(both: Both, reference: str) -> Changed | None:
    """The room stands, and the listing loses it for minutes, days or ever."""
    return _hide(both, both.supplier, both.booking(reference))


def booking_changes(both: Both, reference: str) -> Changed | None:
    """Other dates, another price or both, pending or confirmed, and perhaps others again."""
    rows = both.supplier.of(reference, Kind.BOOKING)
    if (row := next((row for row in rows if row.alive), None)) is None:
        return None
    day = both.random.choice((2, 3))
    dates = {"starts_on": f"2027-05-0{day}", "ends_on": f"2027-05-0{day + 3}"}
    price = {"price": {"amount": both.random.choice(("131.00", "12.00")), "currency": "EUR"}}
    changes = (dates, price, dates | price) if "price" in row.stay else (dates,)
    row.stay = {**row.stay, **both.random.choice(changes)}
    return both.supplier, row


def booking_is_lowered(both: Both, reference: str) -> Changed | None:
    """A confirmed booking is pending again, or rejected."""
    if (row := both.booking(reference)) is None:
        return None
    status = both.random.choice((PENDING, "rejected"))
    both.supplier.change(row, status)
    if status == PENDING:
        row.ends_as = both.random.choice(("confirmed", "cancelled"))
        after = both.random.choice(_FOR)
        both.supplier.outside.later(after, lambda: both.supplier.resolve(row))
    return both.supplier, row


def cancelled_booking_lives(both: Both, reference: str) -> Changed | None:
    rows = both.supplier.of(reference, Kind.BOOKING)
    cancelled = [row for row in rows if row.status == "cancelled" and not row.gone]
    if not cancelled:
        return None
    both.supplier.change(cancelled[0], GOOD[Kind.BOOKING])
    return both.supplier, cancelled[0]


# --- payments


def refund_by_hand(both: Both, reference: str) -> Changed | None:
    """A person refunds all, a part or a cent on the provider's pages."""
    row = both.payment(reference)
    left = both.payments.left(row) if row else 0
    if row is None or left <= 0:
        return None
    minor = both.random.choice((left, left, max(1, left // 2), 1))
    refund = both.payments.refund_by_hand(row, minor)
    if not refund.good:
        both.payments.change(refund, GOOD[Kind.REFUND])
    return both.payments, refund


def refund_bounces(both: Both, reference: str) -> Changed | None:
    """A bank returns a refund of ours that had succeeded, or its listing says so for a while."""
    rows = both.payments.of(reference, Kind.REFUND)
    ours = [row for row in rows if row.good and row.key]
    if not ours:
        return None
    if both.random.random() < _MISTAKEN:
        _say_for_a_while(both, ours[0], "rejected")
    else:
        both.payments.change(ours[0], "rejected")
    return both.payments, ours[0]


def _say_for_a_while(both: Both, row: Row, status: str) -> None:
    row.lied = True
    row.says["status"] = status
    both.payments.outside.later(both.random.choice(_FOR), lambda: row.says.pop("status", None))


def payment_is_voided(both: Both, reference: str) -> Changed | None:
    """A payment that succeeded is voided: the money never came."""
    row = both.payment(reference)
    if row is None or both.payments.refunds_of(row):
        return None
    both.payments.change(row, "voided")
    return both.payments, row


def payment_hides(both: Both, reference: str) -> Changed | None:
    return _hide(both, both.payments, both.payment(reference))


def payment_is_lowered(both: Both, reference: str) -> Changed | None:
    """The listing tells another status for a while, and the money is there."""
    if (row := both.payment(reference)) is None:
        return None
    _say_for_a_while(both, row, both.random.choice((PENDING, "declined", "voided")))
    return both.payments, row


def payment_sum_changes(both: Both, reference: str) -> Changed | None:
    """A partial capture, or more than was said."""
    row = both.payment(reference)
    if row is None or both.payments.refunds_of(row):
        return None
    row.minor += both.random.choice((-5000, -1, 250))
    return both.payments, row


def dispute_opens(both: Both, reference: str) -> Changed | None:
    """A chargeback, which ends won or lost."""
    row = both.payment(reference)
    if row is None or row.dispute is not None:
        return None
    minor = row.minor - both.payments.refunded(row)
    if minor <= 0:
        return None
    row.dispute = "open", minor
    end = both.random.choice(("won", "lost"))
    both.payments.outside.later(
        both.random.choice(_DISPUTED_FOR), lambda: _end_dispute(both.payments, row, end)
    )
    return both.payments, row


def _end_dispute(payments: PaymentsService, row: Row, end: str) -> None:
    assert row.dispute is not None
    row.dispute = end, row.dispute[1]
    payments.outside.say(f"  truth: dispute of {row.id} {end}")
    payments.outside.owe_webhook(payments, row, "dispute_closed")


# --- either


def ids_in_capitals(both: Both, reference: str) -> Changed | None:
    """The same row under its id in capitals."""
    return _rename(both, reference, lambda row: row.id.upper())


def id_is_reissued(both: Both, reference: str) -> Changed | None:
    """The same row under another id, as after a migration."""
    return _rename(both, reference, lambda row: f"{row.id}-new")


def _rename(both: Both, reference: str, name: Callable[[Row], str]) -> Changed | None:
    rows: list[tuple[Service, Row | None]] = [
        (both.payments, both.payment(reference)),
        (both.supplier, both.booking(reference)),
    ]
    service, row = both.random.choice(rows)
    if row is None or name(row) == row.id:
        return None
    row.former_ids.append(row.id)
    row.id = name(row)
    return service, row


def _hide(both: Both, service: Service, row: Row | None) -> Changed | None:
    if row is None:
        return None
    row.hidden_until = service.outside.now + both.random.choice((*_FOR, _EVER))
    return service, row


Turn = Callable[[Both, str], Changed | None]
TURNS: tuple[Turn, ...] = (
    booking_vanishes,
    booking_hides,
    booking_changes,
    booking_is_lowered,
    cancelled_booking_lives,
    refund_by_hand,
    refund_bounces,
    payment_is_voided,
    payment_hides,
    payment_is_lowered,
    payment_sum_changes,
    dispute_opens,
    ids_in_capitals,
    id_is_reissued,
)
