"""The real use cases, each called as its function does."""

from datetime import timedelta
from uuid import UUID

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from reservations.application import operate
from reservations.application.cancel_reservation import cancel_reservation
from reservations.application.cases import Cases
from reservations.application.confirm_supplier import confirm_supplier
from reservations.application.create_reservation import CreateReservation, create_reservation
from reservations.application.issue_voucher import issue_voucher
from reservations.application.notify_customer import Vouchers, notify_customer
from reservations.application.poll_outbox import poll_outbox
from reservations.application.process_payment import process_payment
from reservations.application.receive_webhook import receive_webhook
from reservations.domain.decisions import SUM, DecisionRefusedError
from reservations.domain.errors import NotCancellableError, UnavailableError
from reservations.domain.facts import Call, Decision, Operation, Status
from reservations.domain.messages import Hint, Queue
from reservations.domain.policy import STANDARD
from reservations.domain.reservation import Reservation
from reservations.domain.words import Review
from reservations.entrypoints import webhooks
from reservations.entrypoints.problems import ProblemError
from tests.proofs.hostile.rows import GOOD, Kind, Row
from tests.proofs.hostile.webhooks import SECRETS, Webhook
from tests.proofs.simulation.answers import Answers
from tests.proofs.simulation.providers import Party, provider_of
from tests.proofs.simulation.services import Message
from tests.proofs.simulation.world import World
from tests.worlds.application import KEYS, LIMITS, PAGE, SUPPORT
from tests.worlds.fakes import PlainRenderer

PAYMENT_LIMIT, SUPPLIER_LIMIT = timedelta(seconds=28), timedelta(seconds=73)
DECISIONS = {
    Review.MONEY_MISMATCH: Decision.PAID,
    Review.REFUND_REFUSED: Decision.REFUNDED,
    Review.CANCEL_REFUSED: Decision.CANCELLED,
}
# Decisions that a person can attest about a call, by its status at the provider. Pending has none.
SAID = {
    (Operation.CHARGE, "declined"): Decision.NOT_CHARGED,
    (Operation.CHARGE, "voided"): Decision.NOT_CHARGED,
    (Operation.BOOK, "confirmed"): Decision.BOOKED,
    (Operation.BOOK, "rejected"): Decision.NOT_BOOKED,
    (Operation.BOOK, "cancelled"): Decision.NOT_BOOKED,
}
NOTHING = {Operation.CHARGE: "declined", Operation.BOOK: "rejected"}  # where there is no row


class Invocations:
    """Starts the functions' invocations and the operators' actions in the world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._answers = Answers(world, self.cancel)

    def create(self, party: Party) -> None:
        command = CreateReservation(
            client_id="web", offer=party.offer, price=party.price, customer=party.customer
        )

        def body() -> None:
            cases = self._world.cases()
            with cases.uow as uow:
                create_reservation(command, cases=cases, token_kid="k1")
                uow.commit()
            cases.send_hints()

        self._world.start(f"create {party.name}", body)

    def cancel(self, party: Party) -> None:
        reservation_id = party.reservation_id
        assert reservation_id is not None
        party.asked_to_cancel = True

        def body() -> None:
            cases = self._world.cases()
            try:
                with cases.uow as uow:
                    cancel_reservation(reservation_id, cases=cases)
                    uow.commit()
                cases.send_hints()
            except NotCancellableError as refusal:
                self._world.say(f"not cancellable: {refusal}")

        self._world.start(f"cancel {party.name}", body)

    def webhook(self, webhook: Webhook) -> None:
        """Deliver a webhook as its function receives it: signed, and checked before anything else."""

        def body() -> None:
            headers, content = webhook.delivery(self._world.now)
            document = {"headers": headers, "body": content.decode(), "isBase64Encoded": False}
            provider = provider_of(webhook.service)
            try:
                event = webhooks.verified(
                    APIGatewayProxyEvent(document),
                    provider=provider,
                    secrets=[SECRETS[provider]],
                    now=self._world.now,
                )
            except ProblemError as problem:
                self._world.say(f"webhook refused: {problem}")
                return
            received = event and receive_webhook(event, cases=self._world.cases())
            if received is not None:
                self._world.told_by_webhook(webhook)
            self._world.say(f"webhook {webhook.type} {received}")

        self._world.start(f"webhook {self._world.name_of(UUID(webhook.reference))}", body)

    def poll(self) -> None:
        def body() -> None:
            cases, queues = self._world.cases(), self._world.queues
            polled = poll_outbox(uow=cases.uow, publisher=queues, policy=cases.policy)
            self._world.say(f"published {polled.published}, woken {polled.woken}")

        self._world.start("poller", body)

    def deliver(self, message: Message) -> None:
        def body() -> None:
            self._step(message.hint)
            self._world.queues.delete(message)

        self._world.queues.receive(message)
        hint = message.hint
        self._world.start(f"{hint.queue} {self._world.name_of(hint.reservation_id)}", body)

    def _step(self, hint: Hint) -> None:
        cases = self._world.cases()
        match hint.queue:
            case Queue.PAYMENT | Queue.PAYMENT_LOOK:
                process_payment(
                    hint.reservation_id,
                    cases=cases,
                    payments=self._world.providers.payments_api,
                    not_after=self._world.now + PAYMENT_LIMIT,
                )
            case Queue.SUPPLIER | Queue.SUPPLIER_LOOK:
                confirm_supplier(
                    hint.reservation_id,
                    cases=cases,
                    supplier=self._world.providers.supplier_api,
                    not_after=self._world.now + SUPPLIER_LIMIT,
                )
            case Queue.VOUCHER:
                issue_voucher(
                    hint.reservation_id,
                    cases=cases,
                    renderer=PlainRenderer(),
                    store=self._world.store,
                    keys=KEYS,
                    support_contact=SUPPORT,
                )
            case Queue.NOTIFICATION:
                self._notify(hint.reservation_id, cases)

    def _notify(self, reservation_id: UUID, cases: Cases) -> None:
        to, began = self._world.party(reservation_id).customer.email, self._world.now
        finished = False
        try:
            notify_customer(
                reservation_id,
                cases=cases,
                mailer=self._world.mailer,
                vouchers=Vouchers(store=self._world.store, renderer=PlainRenderer()),
                limits=LIMITS,
                page=PAGE,
                support_contact=SUPPORT,
            )
            finished = True
        finally:
            if not finished or self._world.now - began >= STANDARD.mail_repeat:
                self._world.interrupted.add(to)

    # --- operators

    def check_now(self, party: Party) -> None:
        """Let an operator request another inquiry."""

        def body() -> None:
            cases, code = self._world.cases(actor="operator"), self._stored(party).code
            self._world.nudged[party.customer.email] += 1
            operate.check_now(code, cases=cases)

        self._world.start(f"operator {party.name}", body)

    def review(self, party: Party) -> bool:
        """Let an operator resolve all reviews, and do by hand what the decision attests."""
        reasons = sorted(self._stored(party).standing.reviews(self._world.now))
        for reason in reasons:
            with self._world.at_once(f"operator {party.name}"):
                if reason is Review.DEADLINE:
                    self._tell_what_is_so(party)
                elif reason in DECISIONS:
                    self._decide(party, reason)
                else:
                    self._answers.answer(party, reason)
        return bool(reasons)

    def _decide(self, party: Party, reason: Review) -> None:
        before, evidence = self._stored(party), f"E-{self._world.number()}"
        target = _in_question(before, reason)
        if self._resolve(before, DECISIONS[reason], evidence, target):
            self._do_by_hand(before, reason, target)
        elif reason is Review.MONEY_MISMATCH:
            self._cancel_by_operator(party, before)

    def _cancel_by_operator(self, party: Party, before: Reservation) -> None:
        """Cancel on any day. A person whose command meets a lock asks again at the next review."""
        party.asked_to_cancel = True
        try:
            operate.cancel(before.code, cases=self._world.cases(actor="operator"))
        except UnavailableError as error:
            self._world.say(f"fails: {error.code}")

    def _tell_what_is_so(self, party: Party) -> None:
        """Attest overdue charges and bookings by the provider's ledger, as if by phone."""
        before = self._stored(party)
        for call in before.standing.awaited:
            if call.deadline_at > self._world.now:
                continue
            if call.operation in NOTHING:
                self._tell_of(before, call)
            else:
                self._undo_by_hand(before, call)

    def _tell_of(self, before: Reservation, call: Call) -> None:
        row = self._row_of(before.reservation_id, call)
        status = row.status if row else NOTHING[call.operation]
        if row is not None and row.good and call.operation is Operation.CHARGE:
            self._tell_of_untold(before, call, row)
        elif decision := SAID.get((call.operation, status)):
            evidence = row.id if row else f"E-{self._world.number()}"
            if decision is Decision.BOOKED:
                # The command takes the id that we know, however the supplier writes it now.
                evidence = call.provider_id or evidence
                self._world.attested.add(evidence)
            self._resolve(before, decision, evidence, call.provider_id)

    def _tell_of_untold(self, before: Reservation, call: Call, payment: Row) -> None:
        """Return in payments what its listing does not show under our id, unless we know its new id."""
        payments = self._world.providers.payments
        known = any(payment.id == charge.provider_id for charge in before.standing.charges)
        if payment.shown(self._world.now) and not (known and payment.id != call.provider_id):
            return  # a look finds it
        evidence, left = f"E-{self._world.number()}", payments.left(payment)
        decided = self._resolve(before, Decision.NOT_CHARGED, evidence, call.provider_id)
        if decided and left > 0 and not known:
            payments.change(payments.refund_by_hand(payment, left), GOOD[Kind.REFUND])

    def _undo_by_hand(self, before: Reservation, call: Call) -> None:
        """End a refund or a cancellation that does not arrive, unless it may still."""
        refund = call.operation is Operation.REFUND
        decision = Decision.REFUNDED if refund else Decision.CANCELLED
        reason = Review.REFUND_REFUSED if refund else Review.CANCEL_REFUSED
        payment = self._world.providers.payments.find(call.target, Kind.PAYMENT)
        under_way = (
            refund
            and payment is not None
            and any(
                row.status == "pending"
                for row in self._world.providers.payments.refunds_of(payment)
            )
        )
        if not under_way and self._resolve(
            before, decision, f"E-{self._world.number()}", call.target
        ):
            self._do_by_hand(before, reason, call.target)

    def _row_of(self, reservation_id: UUID, call: Call) -> Row | None:
        providers = self._world.providers
        charge = call.operation is Operation.CHARGE
        service = providers.payments if charge else providers.supplier
        rows = service.of(reservation_id, Kind.PAYMENT if charge else Kind.BOOKING)
        return next((row for row in rows if not row.gone and _is_of(row, call)), None)

    def _resolve(
        self, before: Reservation, decision: Decision, evidence: str, target: str | None
    ) -> bool:
        cases = self._world.cases(actor="operator")
        try:
            operate.resolve_review(
                before.code,
                decision,
                evidence=evidence,
                target=target,
                cases=cases,
            )
        except DecisionRefusedError as refusal:
            self._world.say(f"refused: {refusal}")
            return False
        except UnavailableError as error:
            self._world.say(f"fails: {error.code}")
            return False
        self._world.say(f"decides: {decision}")
        return True

    def _do_by_hand(self, before: Reservation, reason: Review, target: str | None) -> None:
        """Refund by transfer, or have the supplier cancel."""
        providers = self._world.providers
        if reason is Review.REFUND_REFUSED:
            providers.transfer(providers.payments.find(target, Kind.PAYMENT))
            for one in self._world.promises.standing(before):  # the transfer answers them too
                if one.kind == "refund_failed":
                    matter = before.reservation_id, one.kind, one.subject.casefold()
                    self._world.decided[matter] = one.seen
        if reason is Review.CANCEL_REFUSED and target:
            booking = providers.supplier.find(target, Kind.BOOKING)
            assert booking is not None
            if booking.alive:
                providers.supplier.change(booking, "cancelled")

    def _stored(self, party: Party) -> Reservation:
        assert party.reservation_id is not None
        return self._world.database.reservations[party.reservation_id]


def _is_of(row: Row, call: Call) -> bool:
    named = call.provider_id is not None and row.is_called(call.provider_id)
    return named or row.key == call.key


def _in_question(reservation: Reservation, reason: Review) -> str | None:
    """The first payment or booking of a review, as one is resolved at a time."""
    match reason:
        case Review.REFUND_REFUSED:
            calls, undoing = reservation.standing.held_charges, Operation.REFUND
        case Review.CANCEL_REFUSED:
            calls = reservation.standing.live_bookings
            undoing = Operation.CANCEL_BOOKING
        case Review.MONEY_MISMATCH:
            return SUM
        case _:
            return None
    refused = {row.target for row in reservation.facts.of(undoing) if row.status is Status.DECLINED}
    return next((call.provider_id for call in calls if call.provider_id in refused), None)
