"""Stories of travelers, and the promises that hold at the end of each one after any blow."""

import json
import uuid
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from hashlib import sha256
from http import HTTPStatus
from typing import Literal
from urllib.parse import urljoin

from sqlalchemy import create_engine, text

from reservations.adapters.mysql import schema
from reservations.adapters.mysql.tables import METADATA
from reservations.domain.facts import Decision
from reservations.domain.history import CUSTOMER_ERASED
from reservations.domain.messages import Queue
from tests.proofs.crash.boundaries import Blow
from tests.proofs.crash.environment import Outcome
from tests.proofs.crash.world import CONSUMERS, Json, World, api_event
from tests.worlds.invocation import an_event
from tests.worlds.providers import Receiver

PRICE = Decimal("342.50")
STARTS_ON = datetime.combine(datetime.now(UTC), time(), UTC) + timedelta(days=150)
LIVE = {"confirmed", "pending"}
BY_HAND = "ref_by_hand"
REBOOKED = "bkg_by_hand"
OPERATION = "POST /v1/reservations"
FINAL_STATUS = 500  # answers below it are final, except 409 "in flight"

Word = Literal["CONFIRMADA", "RECHAZADA", "EXPIRADA", "CANCELADA"]


class BrokenPromiseError(Exception):
    """Something happened that must never happen."""


def promise(holds: object, broken: str) -> None:
    if not holds:
        raise BrokenPromiseError(broken)


class Traveler:
    """Requests one reservation, and retries with the same key until there is an answer."""

    def __init__(self, world: World, *, payment_token: str, offer_id: str) -> None:
        self.world = world
        self.email = f"ana.{uuid.uuid4().hex}@example.com"
        self.codes: set[str] = set()
        self.token = ""
        self.forgotten = False
        self._keys = {name: str(uuid.uuid4()) for name in ("create", "cancel", "other tab")}
        self._body = {
            "customer": {"full_name": "Ana Pérez", "email": self.email},
            "offer": {
                "offer_id": offer_id,
                "description": "Hotel Sol, doble",
                "starts_on": str(STARTS_ON.date()),
                "ends_on": str(STARTS_ON.date() + timedelta(days=3)),
                "guests": 2,
            },
            "price": {"amount": str(PRICE), "currency": "EUR"},
            "payment_token": payment_token,
        }

    @property
    def code(self) -> str:
        [code] = self.codes
        return code

    @property
    def reference(self) -> str:
        """The reference of the reservation at the providers."""
        [row] = self.world.rows("SELECT id FROM reservation")
        return str(uuid.UUID(bytes=row["id"]))

    def reserve(self) -> None:
        def told(outcome: Outcome) -> None:
            if outcome.answer is not None and outcome.answer["statusCode"] == 202:
                answer = json.loads(outcome.answer["body"])
                self.codes.add(answer["reservation_code"])
                self.token = answer["access_token"]

        headers = {"Content-Type": "application/json", "Idempotency-Key": self._keys["create"]}
        event = api_event("POST", "/v1/reservations", body=json.dumps(self._body), headers=headers)
        answer = self._ask("create_reservation", event, told=told)
        promise(answer["statusCode"] == 202, f"create was answered {answer['statusCode']}")
        if not self.forgotten:
            self.check_the_rows_of_create(stored=1)

    def reserve_in_another_tab(self) -> None:
        """Send the same request under another key. The charge of the first one stands."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": self._keys["other tab"]}
        event = api_event("POST", "/v1/reservations", body=json.dumps(self._body), headers=headers)
        answer = self._ask("create_reservation", event)
        promise(answer["statusCode"] == 409, f"another tab was answered {answer['statusCode']}")

    def cancel(self) -> None:
        headers = self._authorized({"Idempotency-Key": self._keys["cancel"]})
        event = api_event("POST", f"/v1/reservations/{self.code}/cancel", headers=headers)
        answer = self._ask("cancel_reservation", event)
        promise(answer["statusCode"] in (200, 202), f"cancel was answered {answer['statusCode']}")

    def read(self, part: str = "") -> Json:
        event = api_event(
            "GET", f"/v1/reservations/{self.code}{part}", headers=self._authorized({})
        )
        return self._ask("get_reservation", event)

    def poll_unchanged(self) -> None:
        """Read with the entity tag of the last answer."""
        [tag] = self.read()["multiValueHeaders"]["ETag"]
        headers = self._authorized({"If-None-Match": tag})
        event = api_event("GET", f"/v1/reservations/{self.code}", headers=headers)
        answer = self._ask("get_reservation", event)
        promise(
            answer["statusCode"] == 304, f"an unchanged poll was answered {answer['statusCode']}"
        )

    def look_up(self) -> None:
        body = json.dumps({"reservation_code": self.code, "email": self.email})
        headers = {"Content-Type": "application/json"}
        event = api_event("POST", "/v1/reservations/lookup", body=body, headers=headers)
        answer = self._ask("look_up_reservation", event)
        promise(answer["statusCode"] == 202, f"lookup was answered {answer['statusCode']}")

    def look_at_health(self) -> None:
        self._ask("get_reservation", api_event("GET", "/v1/health", headers={}))

    def status(self) -> str:
        return str(json.loads(self.read()["body"])["status"])

    def rest(self) -> None:
        self.world.operate_until(self.world.at_rest, what="all at rest")

    def in_review(self, kind: str) -> None:
        """Wait until a contradiction is believed."""
        opened = "SELECT id FROM contradiction WHERE kind = :kind AND opened_at IS NOT NULL"
        self.world.operate_until(
            lambda: bool(self.world.rows(opened, kind=kind)), what=f"the review {kind}"
        )

    def hear_of_a_bounce(self) -> None:
        """Send the bounce of the confirmation from SES, and wait until it is in the history."""
        [record] = an_event("record_mail_event.bounced")["Records"]
        event = json.loads(record["body"])
        event["mail"]["tags"]["reservation_id"] = [self.reference]
        self.world.tell_of_mail(json.dumps(event))
        self.world.operate_until(lambda: self.bounces() > 0, what="the bounce in the history")

    def used_these_keys_long_ago(self) -> None:
        """Store both keys with another fingerprint and an expiry in the past."""
        operations = {"create": OPERATION, "cancel": f"{OPERATION}/{{code}}/cancel"}
        for name, operation in operations.items():
            self.world.change(
                "INSERT INTO idempotency VALUES ('web', :operation, :key, REPEAT('0', 64), '{}', '2001-05-04')",
                operation=operation,
                key=self._keys[name],
            )

    def bounces(self) -> int:
        [row] = self.world.rows(
            "SELECT COUNT(*) bounces FROM history WHERE event = 'mail.bounced.confirmed'"
        )
        return int(row["bounces"])

    def _authorized(self, headers: dict[str, str]) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Accept": "application/json", **headers}

    def _ask(
        self, function: str, event: Json, *, told: Callable[[Outcome], None] = lambda _: None
    ) -> Json:
        answers: list[Json] = []

        def conclude(outcome: Outcome) -> None:
            told(outcome)
            if outcome.answer is not None:
                status = outcome.answer["statusCode"]
                promise(status != 500, "a 500 reached the client")
                busy = status == 409 and "payment_in_progress" not in outcome.answer["body"]
                if status < FINAL_STATUS and not busy:
                    answers.append(outcome.answer)

        def ask() -> bool:
            outcome = self.world.invoke(function, event, conclude=conclude)
            if function == "create_reservation" and outcome.blow and not self.codes:
                self._look_at_what_was_cut()
            return bool(answers)

        self.world.operate_until(ask, what=f"an answer of {function}")
        return answers[0]

    def _look_at_what_was_cut(self) -> None:
        """Check right after a blow that all rows exist if the commit had passed, else none."""
        struck = self.world.story.order
        assert struck is not None
        cut = struck.crossings if struck.blow is not Blow.KILL_BEFORE else struck.crossings[:-1]
        passed = any(crossing.startswith("sql COMMIT") for crossing in cut)
        self.check_the_rows_of_create(stored=passed)

    def check_the_rows_of_create(self, *, stored: int) -> None:
        [counts] = self.world.rows(
            "SELECT (SELECT COUNT(*) FROM reservation) reservations,"
            " (SELECT COUNT(*) FROM customer) customers,"
            " (SELECT COUNT(*) FROM idempotency"
            "   WHERE operation = :operation AND expires_at > UTC_TIMESTAMP(6)) idempotency_keys,"
            " (SELECT COUNT(DISTINCT reservation_id) FROM history) histories,"
            " (SELECT COUNT(DISTINCT reservation_id) FROM outbox) hinted",
            operation=OPERATION,
        )
        promise(set(counts.values()) == {int(stored)}, f"not {int(stored)} of each: {counts}")


# --- the stories ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Tale:
    """A story and its required end.

    `mails` is the number the traveler gets; `hurried` ones are left out if a person is faster.
    `delayed` ones are added if a blow to the cancellation lets the saga confirm first.
    `policy` overrides durations (seconds).
    """

    name: str
    live: Callable[[Traveler], None]
    payment_token: str = "tok_ok"
    offer_id: str = "HTL-MAD-001"
    ends: Word
    mails: int
    hurried: int = 0
    delayed: int = 0
    policy: Mapping[str, float] = field(default_factory=dict)


def _to_its_end(traveler: Traveler) -> None:
    traveler.reserve()
    traveler.rest()


def _asked_again(traveler: Traveler) -> None:
    """Repeat everything: reads, the same request, the same messages. Then run the scheduled tasks."""
    _to_its_end(traveler)
    traveler.hear_of_a_bounce()
    for part in ("", "/timeline", "/voucher"):
        traveler.read(part)
    traveler.poll_unchanged()
    traveler.reserve()
    traveler.world.redrive()
    traveler.rest()
    promise(traveler.bounces() == 1, "a bounce is in the history more than once")
    traveler.look_at_health()
    promise(traveler.world.poison() >= len(CONSUMERS), "an unreadable message is not dead-lettered")
    for task in ("retention", "invariants"):
        traveler.world.run("clean_up", {"task": task})


def _cancelled(traveler: Traveler) -> None:
    _to_its_end(traveler)
    traveler.cancel()
    traveler.cancel()
    traveler.rest()


def _cancelled_while_paying(traveler: Traveler) -> None:
    traveler.reserve()
    pending = "SELECT id FROM provider_call WHERE status IN ('pending', 'succeeded')"
    traveler.world.operate_until(lambda: bool(traveler.world.rows(pending)), what="a charge")
    traveler.cancel()
    traveler.rest()


def _silent(traveler: Traveler) -> None:
    """The providers execute charge, booking, cancellation and refund without answering."""
    _to_its_end(traveler)
    world = traveler.world
    for simulator in world.simulators.values():
        simulator.faults("slow", latency_ms=1500)
    traveler.cancel()
    for provider, operation in (("supplier", "cancel_booking"), ("payments", "refund")):
        # A call of a killed worker stays `started`. An inquiry without an answer proves as much.
        asked = (
            "SELECT id FROM provider_call WHERE operation = :operation"
            " AND (status <> 'started' OR looks > 0)"
        )
        world.operate_until(
            lambda: bool(world.rows(asked, operation=operation)),  # noqa: B023 - called here only
            what=f"{operation} without an answer",
        )
        world.simulators[provider].faults("ok")
    traveler.rest()


def _told_again(traveler: Traveler) -> None:
    """The supplier's queue is behind: the poller repeats its hints, with a longer lease each time."""
    world = traveler.world
    with world.behind(Queue.SUPPLIER):
        traveler.reserve()
        # The hints of the charge and of its late inquiry, and the poller's own two.
        world.operate_until(lambda: world.waiting(Queue.SUPPLIER) >= 4, what="hints told again")
    traveler.rest()


def _never_paid(traveler: Traveler) -> None:
    """The payments API is down until the hold is over. Only then can it be inquired again."""
    world = traveler.world
    world.simulators["payments"].faults("outage")
    traveler.reserve()
    expired = "SELECT id FROM reservation WHERE state = 'EXPIRED'"
    world.operate_until(lambda: bool(world.rows(expired)), what="the end of the hold")
    world.simulators["payments"].faults("ok")
    traveler.rest()


def _refused_by_a_queue(traveler: Traveler) -> None:
    """The payment queue refuses the hints as our fault until they are dead. A person revives them."""
    world = traveler.world
    with world.refusing(Queue.PAYMENT):
        traveler.reserve()
        dead = "SELECT id FROM outbox WHERE status = 'dead'"
        world.operate_until(lambda: bool(world.rows(dead)), what="a dead hint")
    world.revive_hints()
    traveler.rest()


def _keys_used_long_ago(traveler: Traveler) -> None:
    traveler.used_these_keys_long_ago()
    _cancelled(traveler)


def _voucher_lost(traveler: Traveler) -> None:
    """The store loses the voucher before its mail, before a read, and during a read while it is erased."""
    world = traveler.world
    with world.behind(Queue.NOTIFICATION):
        traveler.reserve()
        issued = "SELECT id FROM document"
        world.operate_until(lambda: bool(world.rows(issued)), what="the voucher")
    world.lose_documents()
    traveler.rest()
    world.lose_documents()
    told = traveler.read("/voucher")["statusCode"]
    promise(told == HTTPStatus.OK, f"a lost voucher was answered {told}")
    _check_voucher(world, confirmed=True)
    world.lose_documents()
    world.remove_documents_meanwhile()
    told = traveler.read("/voucher")["statusCode"]
    promise(told == HTTPStatus.NOT_FOUND, f"an erased voucher was answered {told}")
    traveler.rest()


def _booked_again(traveler: Traveler) -> None:
    """The supplier gives the booking another id. A person says so, and the voucher is issued again."""
    _to_its_end(traveler)
    world = traveler.world
    [booking] = world.simulators["supplier"].ledger("bookings", traveler.reference)
    world.simulators["supplier"].set_row("booking", booking["booking_id"], id=REBOOKED)
    traveler.in_review("booking_absent")
    world.decide(traveler.code, Decision.REBOOKED, evidence=REBOOKED)
    traveler.rest()
    traveler.hear_of_a_bounce()
    reissued = "SELECT id FROM history WHERE event = 'voucher.issued'"
    promise(len(world.rows(reissued)) > 1, "the voucher names an old booking")


def _refund_returned(traveler: Traveler) -> None:
    """Payments refunds a part by hand. After the cancellation, the traveler's bank returns the rest."""
    _to_its_end(traveler)
    world = traveler.world
    payments = world.simulators["payments"]
    [charge] = payments.ledger("charges", traveler.reference)
    part = {"payment_id": charge["payment_id"], "amount": "60.00"}
    payments.set_row("refund", BY_HAND, **part)
    traveler.in_review("foreign_refund")
    traveler.cancel()
    traveler.rest()
    [refund] = _our_refunds(world, {charge["payment_id"]})
    payments.set_row("refund", refund["refund_id"], status="rejected")
    world.operate_until(
        lambda: bool(_our_refunds(world, {charge["payment_id"]})), what="the second refund"
    )
    traveler.rest()


def _about_to_begin(traveler: Traveler) -> None:
    """The last looks before the trip: one at each provider, which changes nothing."""
    _to_its_end(traveler)
    world = traveler.world
    begins_in = (STARTS_ON - datetime.now(UTC)).total_seconds()
    due_now = {"looks_spread": 0, "supplier_looks": [begins_in], "payment_looks": [begins_in]}
    inquiries = "SELECT id FROM provider_attempt WHERE verb = 'inquire'"
    before = len(world.rows(inquiries))
    with world.hurried(due_now):
        world.change("UPDATE reservation SET next_look_at = '2001-05-04'")
        planned = "SELECT id FROM reservation WHERE next_look_at IS NOT NULL"
        world.operate_until(lambda: not world.rows(planned), what="the last looks")
        traveler.rest()
    promise(len(world.rows(inquiries)) >= before + 2, "a provider was not asked before the trip")


def _past_its_time(traveler: Traveler) -> None:
    """Years after the trip, customer, voucher, webhooks and published hints are deleted."""
    _to_its_end(traveler)
    world = traveler.world
    world.change("UPDATE reservation SET starts_on = '2001-05-01', ends_on = '2001-05-04'")
    world.change("UPDATE outbox SET available_at = '2001-05-04'")
    world.change("UPDATE webhook SET received_at = '2001-05-04'")
    traveler.forgotten = True
    world.run("clean_up", {"task": "retention"})
    for kept in ("outbox", "webhook", "customer", "document WHERE removed_at IS NULL"):
        promise(not world.rows(f"SELECT * FROM {kept}"), f"kept past its retention: {kept}")
    told = world.rows("SELECT id FROM history WHERE event = :event", event=CUSTOMER_ERASED)
    promise(len(told) == 1, f"the erasure is in the history {len(told)} times")


def _looked_up(traveler: Traveler) -> None:
    _to_its_end(traveler)
    traveler.look_up()
    traveler.rest()


def _cancelled_at_once(traveler: Traveler) -> None:
    traveler.reserve()
    traveler.cancel()
    traveler.rest()


def _in_two_tabs(traveler: Traveler) -> None:
    _to_its_end(traveler)
    traveler.reserve_in_another_tab()
    traveler.rest()


TALES = (
    Tale(name="confirmed", live=_to_its_end, ends="CONFIRMADA", mails=1),
    Tale(
        name="declined", live=_to_its_end, payment_token="tok_declined", ends="RECHAZADA", mails=1
    ),
    Tale(name="rejected", live=_to_its_end, offer_id="REJ-1", ends="RECHAZADA", mails=2),
    Tale(
        name="pending",
        live=_to_its_end,
        payment_token="tok_pending",
        offer_id="PEN-1",
        ends="CONFIRMADA",
        mails=1,
    ),
    Tale(name="cancelled", live=_cancelled, ends="CANCELADA", mails=2),
    Tale(
        name="cancelled while paying",
        live=_cancelled_while_paying,
        payment_token="tok_pending",
        ends="CANCELADA",
        mails=1,
    ),
    Tale(
        name="silent",
        live=_silent,
        payment_token="tok_timeout",
        offer_id="TMO-1",
        ends="CANCELADA",
        mails=2,
    ),
    Tale(
        name="sent again",  # at each provider: surely not found, then surely not taken, then done
        live=_to_its_end,
        payment_token="tok_flaky",
        offer_id="FLK-1",
        ends="CONFIRMADA",
        mails=1,
    ),
    Tale(
        name="expired",
        live=_never_paid,
        ends="EXPIRADA",
        mails=1,
        # After a blow it may be unknown if the charge was sent. The hold then counts from there.
        policy={"hold": 4, "hold_limit": 4, "grace": 0.5},
    ),
    Tale(name="told again", live=_told_again, ends="CONFIRMADA", mails=1),
    Tale(
        name="refused by a queue",
        live=_refused_by_a_queue,
        ends="CONFIRMADA",
        mails=1,
        policy={"hint_lease": 0.5},
    ),
    Tale(name="keys used long ago", live=_keys_used_long_ago, ends="CANCELADA", mails=2),
    Tale(name="looked up", live=_looked_up, ends="CONFIRMADA", mails=2),
    Tale(
        name="cancelled at once",
        live=_cancelled_at_once,
        ends="CANCELADA",
        mails=1,
        delayed=1,
    ),
    Tale(name="in two tabs", live=_in_two_tabs, ends="CONFIRMADA", mails=1),
    Tale(name="voucher lost", live=_voucher_lost, ends="CONFIRMADA", mails=1),
    Tale(name="booked again", live=_booked_again, ends="CONFIRMADA", mails=3, hurried=1),
    Tale(
        name="refund returned",
        live=_refund_returned,
        ends="CANCELADA",
        mails=3,
        policy={"reminder": 2},  # the daily look at what is open
    ),
    Tale(name="about to begin", live=_about_to_begin, ends="CONFIRMADA", mails=1),
    Tale(
        name="past its time",
        live=_past_its_time,
        payment_token="tok_pending",
        ends="CONFIRMADA",
        mails=1,
    ),
    Tale(
        name="asked again",
        live=_asked_again,
        payment_token="tok_pending",  # decided by a webhook
        ends="CONFIRMADA",
        mails=1,
    ),
)


def tell(tale: Tale, world: World) -> str:
    """Run a story in a world after its `begin`. Return its end and its oddities.

    Raises:
        BrokenPromiseError: something happened that must never happen.
        TimeoutError: the story does not come to rest.
    """
    traveler = Traveler(world, payment_token=tale.payment_token, offer_id=tale.offer_id)
    with world.hurried(tale.policy) if tale.policy else nullcontext():
        tale.live(traveler)
        oddities = check_promises(traveler, tale)
        world.wait_until(world.undisturbed, what="the end of the stopped invocation")
    return ", ".join([tale.ends, *oddities])


# --- the promises ---------------------------------------------------------------------------------


def check_promises(traveler: Traveler, tale: Tale) -> list[str]:
    """Check: never lost, never paid twice, never paid without a service, never unexplained.

    Return the oddities that only a blow excuses.
    """
    world = traveler.world
    promise(len(traveler.codes) == 1, f"two codes for one key: {traveler.codes}")
    traveler.reserve()
    promise(len(traveler.codes) == 1, f"a replay returned another code: {traveler.codes}")
    word = traveler.status()
    promise(word == tale.ends, f"it ended {word}, not {tale.ends}")
    [row] = world.rows("SELECT * FROM reservation")
    _check_money_and_service(world, traveler.reference, confirmed=word == "CONFIRMADA")
    world.run("clean_up", {"task": "retention"})
    _check_voucher(world, confirmed=row["confirmed_at"] is not None)
    promise(not world.rows("SELECT id FROM outbox WHERE status = 'dead'"), "a dead outbox row")
    promise(world.dead_letters() == 0, "a message was dead-lettered")
    promise(row["settled"] and row["review"] == "", f"unsettled, or in review: {row['review']}")
    world.run("clean_up", {"task": "audit"})
    found = world.run("clean_up", {"task": "invariants"})
    promise(not any(found.values()), f"broken invariants: {found}")
    mails = _check_mails(traveler, tale)
    return [f"{mails} mails"] * (mails != tale.mails)


def _check_money_and_service(world: World, reference: str, *, confirmed: bool) -> None:
    charges = world.simulators["payments"].ledger("charges", reference)
    paid = [charge for charge in charges if charge["status"] == "succeeded"]
    ids = {charge["payment_id"] for charge in charges}
    refunds = [r for r in world.simulators["payments"].ledger("refunds") if r["payment_id"] in ids]
    ours = _our_refunds(world, ids)
    bookings = world.simulators["supplier"].ledger("bookings", reference)
    promise(len(charges) <= 1, f"{len(charges)} charges under one key")
    promise(len(ours) <= 1, f"{len(ours)} refunds of ours")
    promise(len(bookings) <= 1, f"{len(bookings)} bookings under one key")
    kept = sum(Decimal(c["amount"]) for c in paid) - sum(Decimal(r["amount"]) for r in refunds)
    promise(kept == (PRICE if confirmed else 0), f"{kept} kept, confirmed: {confirmed}")
    alive = [booking for booking in bookings if booking["status"] in LIVE]
    promise(len(alive) == int(confirmed), f"{len(alive)} live bookings, confirmed: {confirmed}")


def _our_refunds(world: World, payments: Collection[str]) -> list[Json]:
    """The succeeded refunds of some payments, without those made by hand at the provider."""
    refunds = world.simulators["payments"].ledger("refunds")
    return [r for r in refunds if r["payment_id"] in payments and r["refund_id"] != BY_HAND]


def _check_voucher(world: World, *, confirmed: bool) -> None:
    """Check that the issued voucher is stored, or no voucher once it was removed, even after a reader re-created it."""
    documents = world.rows("SELECT s3_key, sha256, removed_at FROM document")
    promise(len(documents) == int(confirmed), f"{len(documents)} vouchers")
    for document in documents:
        content = world.document(document["s3_key"])
        stored = sha256(content).hexdigest() if content is not None else None
        expected = document["sha256"] if document["removed_at"] is None else None
        promise(stored == expected, f"the voucher {stored} is stored, not {expected}")


def _check_mails(traveler: Traveler, tale: Tale) -> int:
    """Check that each mail was sent once. A blow excuses one copy in two functions.

    SES has no idempotency key. A traveler whose lookup got no answer asks for another link.
    """
    mails = len(traveler.world.mails_to(traveler.email))
    struck = traveler.world.story.struck_in
    copies = int(struck in {"notify_customer", "look_up_reservation"})
    copies += tale.delayed if struck == "cancel_reservation" else 0
    least = tale.mails - tale.hurried
    promise(least <= mails <= tale.mails + copies, f"{mails} mails instead of {tale.mails}")
    return mails


# --- the migration --------------------------------------------------------------------------------


def migrate(world: World) -> str:
    """Migrate an empty schema to this code's revision, with retries until it is done and reported to the stack."""
    with world.empty_database() as url, Receiver() as stack:
        event = an_event("migrate_database.create")
        world.run("migrate_database", event | {"ResponseURL": urljoin(stack.url, "/stack")})
        verdicts = {json.loads(told.body)["Status"] for told in stack.received}
        promise(verdicts == {"SUCCESS"}, f"the stack received {verdicts}")
        promise(schema.current(create_engine(url)) == schema.HEAD, "another revision")
        with create_engine(url).connect() as connection:
            tables = set(connection.execute(text("SHOW TABLES")).scalars())
        missing = set(METADATA.tables) - tables
        promise(not missing, f"missing tables: {missing}")
    return schema.HEAD
