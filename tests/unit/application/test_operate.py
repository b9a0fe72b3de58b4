"""Each action of an operator is done once, logged with its actor, and planned like any other."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from reservations.application import clean_up as cleaning
from reservations.application import operate
from reservations.application.cases import find_reservation
from reservations.application.clean_up import Cleaned, clean_up
from reservations.application.ports import Expired, Retention, Voucher, VoucherRenderer
from reservations.application.read_reservation import Reader, link_to_voucher, read_reservation
from reservations.domain.access_token import KeyRing
from reservations.domain.codes import display
from reservations.domain.decisions import DecisionRefusedError
from reservations.domain.errors import (
    DocumentStoreUnavailableError,
    InvalidReservationCodeError,
    NotCancellableError,
    ReservationNotFoundError,
)
from reservations.domain.facts import Decision, Seen, Status
from reservations.domain.messages import Queue
from reservations.domain.money import Money
from reservations.domain.policy import STANDARD, Moment
from reservations.domain.reservation import ERASED, Reservation
from reservations.domain.views import view
from reservations.domain.words import PublicStatus, State
from tests.handlers.test_clean_up import Places
from tests.worlds.application import KEYS, SUPPORT, World
from tests.worlds.builders import (
    CODE,
    NOON,
    PRICE,
    RESERVATION_ID,
    a_booking,
    a_change,
    a_charge,
    a_reservation,
    a_send,
    a_voucher,
    an_offer,
    some_facts,
)
from tests.worlds.fakes import InMemoryDocumentStore, PlainRenderer, ScriptedPayments

ACTOR = "operator:on-call"
NEW_KEYS = KeyRing(current="k2", keys={"k1": bytes(32), "k2": bytes([1] * 32)})


def operator_lines(world: World) -> list[tuple[str, str, str | None]]:
    """The history lines of operators."""
    lines = world.database.history[RESERVATION_ID]
    return [(line.event, line.actor, line.note) for line in lines if line.actor == ACTOR]


def past(**changes: Any) -> Reservation:
    """A confirmed reservation with its papers sent and its trip over."""
    reservation = a_reservation(
        facts=some_facts(a_charge(), a_booking(), confirmed_at=NOON),
        documents=(a_voucher(),),
        sends=(a_send(),),
        offer=an_offer(starts_on=date(2027, 2, 1), ends_on=date(2027, 2, 3)),
        next_check_at=None,
    )
    return replace(reservation, **changes)


# --- finding


@pytest.mark.parametrize("typed", [CODE, display(CODE), display(CODE).lower()])
def test_a_reservation_is_found_by_its_code_as_a_person_types_it(typed: str) -> None:
    with World().unit_of_work() as uow:
        assert find_reservation(typed, uow=uow).code == CODE


def test_an_unknown_code_and_an_invalid_one_raise_different_errors() -> None:
    with World(a_reservation(code="22222222222")).unit_of_work() as uow:
        with pytest.raises(ReservationNotFoundError):
            find_reservation(CODE, uow=uow)
        with pytest.raises(InvalidReservationCodeError):
            find_reservation("7KQ2M", uow=uow)


# --- checking now


def test_a_nudge_makes_a_resting_reservation_due_and_hints_to_its_step() -> None:
    world = World(past())

    nudged = operate.check_now(CODE, cases=world.cases(actor=ACTOR))

    assert nudged.next_check_at == NOON + STANDARD.hint_lease
    assert [row.hint.queue for row in world.database.outbox.values()] == [Queue.PAYMENT]
    assert operator_lines(world) == [("operator.nudged", ACTOR, None)]


# --- deciding


def test_a_decision_is_recorded_with_its_evidence() -> None:
    world = World(a_reservation(a_charge(money=Money(34000, "EUR"))))

    resolved = operate.resolve_review(
        CODE, Decision.PAID, cases=world.cases(actor=ACTOR), evidence="TICKET-5"
    )

    assert resolved.facts.accepted_minor == 34000
    assert operator_lines(world) == [
        ("review.resolved", ACTOR, "paid TICKET-5"),
        ("review.sum_accepted", ACTOR, None),
    ]
    [row] = world.database.outbox.values()
    assert row.hint.queue is Queue.SUPPLIER


def test_a_decision_that_is_refused_leaves_no_trace() -> None:
    world = World()

    with pytest.raises(DecisionRefusedError):
        operate.resolve_review(
            CODE, Decision.PAID, cases=world.cases(actor=ACTOR), evidence="TICKET-5"
        )

    assert operator_lines(world) == []


def test_an_operator_cancels_as_a_customer_would_under_their_own_name() -> None:
    world = World(a_reservation(a_charge(), a_booking()))

    cancelled = operate.cancel(CODE, cases=world.cases(actor=ACTOR))

    assert cancelled.standing.public_status is PublicStatus.EN_CANCELACION
    assert ("reservation.closed.customer_cancelled", ACTOR, None) in operator_lines(world)


def test_a_paid_unconfirmed_reservation_can_be_cancelled_after_its_trip_began() -> None:
    """No operator can accept another currency: its money would stay with us for ever."""
    foreign = a_charge(money=Money(PRICE.minor, "USD"))
    today = an_offer(starts_on=NOON.date(), ends_on=date(2027, 2, 3))
    world = World(a_reservation(foreign, offer=today))

    cancelled = operate.cancel(CODE, cases=world.cases(actor=ACTOR))

    assert cancelled.standing.state is State.REFUND_IN_PROGRESS


def test_a_trip_that_has_begun_cannot_be_cancelled() -> None:
    world = World(past())

    with pytest.raises(NotCancellableError):
        operate.cancel(CODE, cases=world.cases(actor=ACTOR))


# --- tokens


def test_a_reissued_token_opens_the_reservation_and_the_old_one_does_not() -> None:
    world = World()
    tokens = [NEW_KEYS.issue("k1", RESERVATION_ID)]

    for _ in range(2):  # to another key, then within that key
        moved = operate.reissue_token(CODE, cases=world.cases(actor=ACTOR), keys=NEW_KEYS)
        tokens.append(NEW_KEYS.issue("k2", RESERVATION_ID, moved.token_version))

    assert moved.token_kid == "k2"
    assert [opens(world, token) for token in tokens] == [False, False, True]
    assert operator_lines(world) == [("access_token.reissued", ACTOR, None)] * 2


def opens(world: World, token: str) -> bool:
    reader = Reader(client_id="web", access_token=token)
    try:
        read_reservation(CODE, reader=reader, uow=world.unit_of_work(), keys=NEW_KEYS)
    except ReservationNotFoundError:
        return False
    return True


# --- erasing


def erase(world: World) -> bool:
    return operate.erase(CODE, cases=world.cases(actor=ACTOR), store=world.store)


def link(world: World, *, renderer: VoucherRenderer | None = None) -> str:
    return link_to_voucher(
        CODE,
        reader=Reader(client_id="web", access_token=KEYS.issue("k1", RESERVATION_ID)),
        uow=world.unit_of_work(),
        keys=KEYS,
        store=world.store,
        renderer=renderer or PlainRenderer(),
        support_contact=SUPPORT,
    )


def test_erasure_deletes_the_person_and_the_documents_and_keeps_the_money() -> None:
    world = World(past())
    world.store.put("vouchers/a.pdf", b"%PDF")

    assert erase(world)

    assert world.database.customers[RESERVATION_ID] == ERASED
    assert world.store.documents == {}
    stored = world.database.reservations[RESERVATION_ID]
    assert stored.facts == past().facts
    assert stored.next_check_at is None
    assert operator_lines(world) == [
        ("voucher.removed", ACTOR, None),
        ("customer.erased", ACTOR, None),
    ]


def test_an_erased_voucher_is_neither_shown_nor_made_again() -> None:
    world = World(past())
    assert link(world)
    before = view(world.database.reservations[RESERVATION_ID], Moment(NOON, STANDARD))
    assert before.documents

    erase(world)

    after = world.database.reservations[RESERVATION_ID]
    assert view(after, Moment(NOON, STANDARD)).documents == ()
    assert after.version == 2
    with pytest.raises(ReservationNotFoundError):
        link(world)
    assert world.store.documents == {}


class StoreReadMeanwhile(InMemoryDocumentStore):
    """A store where a reader requests the voucher right after each delete."""

    def __init__(self, read: Callable[[], object]) -> None:
        super().__init__()
        self._read = read

    def delete(self, key: str) -> None:
        super().delete(key)
        with suppress(ReservationNotFoundError):
            self._read()


def test_a_voucher_requested_during_its_erasure_is_not_stored_again() -> None:
    world = World(past())
    world.store = StoreReadMeanwhile(lambda: link(world))

    assert erase(world)

    assert world.store.documents == {}


class EraserInTheRenderer(PlainRenderer):
    """An operator erases the reservation during the new rendering of its voucher."""

    def __init__(self, world: World) -> None:
        self._world = world

    def render(self, voucher: Voucher) -> bytes:
        erase(self._world)
        return super().render(voucher)


def test_a_voucher_made_again_during_its_erasure_is_deleted() -> None:
    world = World(past())

    with pytest.raises(ReservationNotFoundError):
        link(world, renderer=EraserInTheRenderer(world))

    assert world.store.documents == {}


def test_a_second_erasure_finds_nothing_and_adds_no_history() -> None:
    world = World(past())
    erase(world)
    before = operator_lines(world)

    assert not erase(world)
    assert operator_lines(world) == before


def test_nothing_is_erased_while_money_is_open() -> None:
    world = World(a_reservation(a_charge()))

    with pytest.raises(DecisionRefusedError, match="money is open"):
        erase(world)

    assert world.database.customers[RESERVATION_ID].full_name == world.customer.full_name
    assert operator_lines(world) == []


def test_a_store_that_does_not_answer_keeps_everything() -> None:
    world = World(past())
    world.store.down = True

    with pytest.raises(DocumentStoreUnavailableError):
        erase(world)

    assert world.database.customers[RESERVATION_ID] != ERASED
    assert operator_lines(world) == []


def test_a_second_payment_found_after_erasure_is_still_refunded() -> None:
    world = World(past())
    erase(world)
    late = a_charge(key="seen:charge:pay_2", provider_id="pay_2")
    with world.unit_of_work() as uow:
        found = uow.open(RESERVATION_ID).reservation
        facts = replace(found.facts, calls=(*found.facts.calls, late))
        paid_again = replace(found, facts=facts, next_check_at=NOON)
        uow.store(a_change(found, paid_again, now=NOON))
        uow.commit()

    answer = Seen(provider_id="ref_2", status=Status.SUCCEEDED, money=PRICE)
    world.pay(ScriptedPayments(answer))

    refund = world.database.reservations[RESERVATION_ID].facts.find("refund:pay_2")
    assert refund is not None
    assert refund.status is Status.SUCCEEDED


# --- retention


class Due(Retention):
    """Has a number of expired rows, and gives them in batches."""

    def __init__(self, *, hints: int = 0, forget: list[UUID] | None = None) -> None:
        self.hints = hints
        self.asked: list[tuple[str, timedelta | None]] = []
        self.pages = [a_page(travelers=forget or [], documents=forget or [])]

    def delete_published_hints(self, *, older_than: timedelta, limit: int) -> int:
        self.asked.append(("hints", older_than))
        taken = min(self.hints, limit)
        self.hints -= taken
        return taken

    def delete_webhooks(self, *, older_than: timedelta, limit: int) -> int:
        self.asked.append(("webhooks", older_than))
        return 0

    def delete_expired_keys(self, *, limit: int) -> int:
        self.asked.append(("keys", None))
        return 0

    def delete_claims(self, *, older_than: timedelta, limit: int) -> int:
        self.asked.append(("claims", older_than))
        return 0

    def delete_unpaid_mails(self, *, older_than: timedelta, limit: int) -> int:
        self.asked.append(("unpaid mails", older_than))
        return 0

    def expired(
        self,
        *,
        after: UUID | None,
        limit: int,
        travelers_after: timedelta,
        documents_after: timedelta,
        removed_within: timedelta,
    ) -> Expired:
        if after is None:
            self.asked += [
                ("travelers", travelers_after),
                ("documents", documents_after),
                ("removed", removed_within),
            ]
        return self.pages.pop(0) if self.pages else replace(a_page(), last=None)

    def revive(self, *, queue: Queue | None, actor: str) -> int:
        raise AssertionError("retention revives nothing")

    def tell(self, reservation_id: UUID, event: str, *, actor: str) -> None:
        raise AssertionError("retention changes no message")


def a_page(
    *, travelers: Sequence[UUID] = (), documents: Sequence[UUID] = (), removed: Sequence[str] = ()
) -> Expired:
    return Expired(
        last=RESERVATION_ID,
        travelers=list(travelers),
        documents=list(documents),
        removed=list(removed),
    )


def clean(world: World, due: Due, *, finished: Callable[[], bool] = lambda: False) -> Cleaned:
    return clean_up(
        finished, cases=world.cases(), retention=due, checkpoints=Places(), store=world.store
    )


def test_retention_goes_on_batch_by_batch_until_nothing_is_left() -> None:
    due = Due(hints=2 * cleaning.BATCH + 1)

    assert clean(World(), due) == Cleaned(hints=2 * cleaning.BATCH + 1)
    assert [name for name, _ in due.asked].count("hints") == 4


def test_retention_uses_the_promised_ages() -> None:
    due = Due()
    clean(World(), due)

    assert due.asked == [
        ("hints", timedelta(days=14)),
        ("webhooks", timedelta(days=30)),
        ("keys", None),
        ("claims", timedelta(days=2)),
        ("unpaid mails", timedelta(hours=1)),
        ("travelers", timedelta(days=730)),
        ("documents", timedelta(days=180)),
        ("removed", timedelta(hours=12)),
    ]


def test_retention_stops_when_its_time_is_up() -> None:
    due = Due(hints=3 * cleaning.BATCH)
    rounds = iter([False, True])

    cleaned = clean(World(), due, finished=lambda: next(rounds, True))

    assert cleaned == Cleaned(hints=cleaning.BATCH)


def test_a_run_of_retention_reads_a_limited_number_of_pages() -> None:
    due = Due()
    due.pages = [a_page() for _ in range(cleaning.PAGES + 1)]

    clean(World(), due)
    assert len(due.pages) == 1

    clean(World(), due)
    assert due.pages == []


def test_retention_erases_the_personal_data_and_removes_the_documents() -> None:
    world = World(past())
    world.store.put("vouchers/a.pdf", b"%PDF")

    cleaned = clean(world, Due(forget=[RESERVATION_ID]))

    assert (cleaned.documents, cleaned.travelers) == (1, 1)
    assert world.database.customers[RESERVATION_ID] == ERASED
    assert world.store.documents == {}
    lines = world.database.history[RESERVATION_ID]
    assert [line.event for line in lines if line.actor == "retention"] == [
        "customer.erased",
        "voucher.removed",
    ]


def test_retention_removes_again_a_document_that_a_reader_re_created() -> None:
    world, due = World(past()), Due()
    keys = ["vouchers/a.pdf", "vouchers/b.pdf"]
    due.pages = [a_page(removed=[key]) for key in keys]
    for key in keys:
        world.store.put(key, b"%PDF")

    assert clean(world, due) == Cleaned()

    assert world.store.documents == {}


def test_a_backlog_of_one_kind_holds_up_no_other() -> None:
    world = World(past())
    rounds = iter([False] * 8)

    cleaned = clean(
        world,
        Due(hints=99 * cleaning.BATCH, forget=[RESERVATION_ID]),
        finished=lambda: next(rounds, True),
    )

    assert (cleaned.hints, cleaned.travelers) == (cleaning.BATCH, 1)


def test_retention_erases_personal_data_even_while_the_store_is_down() -> None:
    world, due = World(past()), Due()
    world.store.down = True
    due.pages = [a_page(documents=[RESERVATION_ID]), a_page(travelers=[RESERVATION_ID])]

    with pytest.raises(DocumentStoreUnavailableError):
        clean(world, due)

    assert world.database.customers[RESERVATION_ID] == ERASED


def test_retention_keeps_the_data_of_a_reservation_that_reopened_since_the_query() -> None:
    world = World(past(next_check_at=NOON))

    assert clean(world, Due(forget=[RESERVATION_ID])).travelers == 0
    assert world.database.customers[RESERVATION_ID].full_name == world.customer.full_name
