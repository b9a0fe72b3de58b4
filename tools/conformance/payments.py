"""Promises of the payments API."""

from collections.abc import Iterator
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from typing import Any, ClassVar
from urllib.parse import quote

from tools.conformance.api import Answer, Row
from tools.conformance.orders import Orders, has_texts, rows_of
from tools.conformance.verdicts import BrokenError, NotObservableError, Promise, require


class Charges(Orders):
    provider = "payments"
    noun = "payment"
    path = "/payments"
    id_name = "payment_id"
    taken = "succeeded"
    options = "--token, --amount, --currency"
    refused = "declined"
    stays: ClassVar = {word: (word,) for word in ("succeeded", "declined", "voided")}
    members = ("payment_id", "status", "reference", "amount", "currency", "refunded_amount")
    terms = ("amount", "currency")

    def body(self, reference: str, **changes: Any) -> Row:
        given = self.inputs
        charge = {"amount": given.amount, "currency": given.currency, "token": given.token}
        return {"reference": reference, **charge, **changes}

    @property
    def another(self) -> Row:
        return {"amount": str(Decimal(self.inputs.amount) + Decimal(self.units(1)))}

    @property
    def refusable(self) -> Row:
        return {"token": self.inputs.declined_token}

    @property
    def failing(self) -> Row:
        return {"token": self.inputs.failing_token}

    def unknown(self, made_up_id: str) -> Iterator[Answer]:
        yield self.void(made_up_id)
        yield self.refund(made_up_id, self.inputs.amount)
        yield self.api.ask("GET", f"{self._one(made_up_id)}/refunds")

    def units(self, count: int) -> str:
        """Return that many smallest units of the currency, as an amount."""
        return str(Decimal(count).scaleb(_exponent(self.inputs.amount)))

    def void(self, payment_id: str) -> Answer:
        answer = self.api.ask("POST", f"{self._one(payment_id)}/void")
        if answer.ok and has_texts(answer.body, self.members):
            self.note(answer.body)
        return answer

    def refund(self, payment_id: str, amount: str, *, key: str | None = None) -> Answer:
        path, key = f"{self._one(payment_id)}/refunds", key or self.new_key()
        return self.api.ask("POST", path, key=key, body={"amount": amount})

    def all_refunds(self, payment_id: str) -> list[Row]:
        answer = self.api.ask("GET", f"{self._one(payment_id)}/refunds")
        return rows_of(answer, "refunds", ("refund_id", "status", "amount", "currency"))

    def refunds(self, payment_id: str) -> list[Row]:
        """List the refunds that stand: all but the rejected ones."""
        return [row for row in self.all_refunds(payment_id) if row["status"] != "rejected"]

    def settled_refunds(self, payment_id: str) -> list[Row]:
        """List all refunds, once all are settled.

        Raises:
            NotObservableError: one was pending when patience ended.
        """
        for _ in self.looks():
            rows = self.all_refunds(payment_id)
            if all(row["status"] != "pending" for row in rows):
                return rows
        raise NotObservableError("a refund stays pending")

    def alter(self, row: Row) -> None:
        self.refund(row["payment_id"], self.units(1)).row("refund_id")

    def undo_one(self, row: Row) -> str | None:
        payment_id, status = row["payment_id"], row["status"]
        if status == "pending":
            status = self.void(payment_id).row("status")["status"]
        if status != "succeeded":
            return f"still {status}" if status == "pending" else None
        taken, refunded = self._taken(row), total(self.refunds(payment_id))
        for left in _possible_rests(row, taken, refunded):
            answer = self.refund(payment_id, str(left))
            if answer.status != 422:
                break
        if taken > refunded and answer.row("status")["status"] == "rejected":
            return "refund rejected"
        refunds = self.refunds(payment_id)
        if any(refund["status"] == "pending" for refund in refunds):
            return "refund pending"
        return _difference(row, taken - total(refunds))

    def _taken(self, row: Row) -> Decimal:
        """Return the sum asked for, or a larger one that was shown."""
        sums = [row, self.first_terms.get(row["payment_id"].lower(), row)]
        return max(decimal(one["amount"]) for one in [*sums, self.asked.get(row["reference"], row)])

    def _one(self, payment_id: str) -> str:
        return f"{self.path}/{quote(payment_id, safe='')}"


def total(refunds: list[Row]) -> Decimal:
    return sum((decimal(refund["amount"]) for refund in refunds), Decimal(0))


def decimal(amount: str) -> Decimal:
    """
    Raises:
        BrokenError: it is not a decimal.
    """
    try:
        return Decimal(amount)
    except InvalidOperation:
        raise BrokenError("an amount is not a decimal") from None


def _possible_rests(row: Row, taken: Decimal, refunded: Decimal) -> list[Decimal]:
    """Return the sums that may be left to refund, the largest first. A provider may list too few refunds."""
    left = taken - refunded
    # Random requests may have refunded fractions of the smallest unit.
    whole = left.quantize(decimal(row["amount"]), ROUND_DOWN)
    shown = decimal(row["amount"])
    told = decimal(row["refunded_amount"])
    rests = {left, whole, taken - told, shown - refunded, shown - told}
    return sorted((rest for rest in rests if 0 < rest <= left), reverse=True)


def _difference(row: Row, left: Decimal) -> str | None:
    said = "too much is refunded" if left < 0 else "not listed as refunded"
    return f"{abs(left)} {row['currency']} {said}" if left else None


def _exponent(amount: str) -> int:
    return -len(amount.partition(".")[2])


def decimals(charges: Charges) -> str:
    given = charges.inputs
    taken: list[str] = []
    for amount, currency in (
        (given.amount, given.currency),
        (given.second_amount, given.second_currency),
    ):
        answer = charges.post(
            charges.new_reference(), charges.new_key(), amount=amount, currency=currency
        )
        if answer.status == 422 and taken:
            return f"{taken[0]}; {currency} is refused"
        row = answer.row(*charges.members)
        for shown in (row, *charges.listed(row["reference"])):
            said = f"{shown['amount']} {shown['currency']}"
            require(said == f"{amount} {currency}", f"{amount} {currency} is shown as {said}")
            refunded = shown["refunded_amount"]
            require(_exponent(refunded) == _exponent(amount), f"{refunded} {currency} refunded")
        taken.append(f"{amount} {currency}")
    return ", ".join(taken)


def refund_limit(charges: Charges) -> str:
    payment = charges.make_taken()
    payment_id, amount = payment["payment_id"], charges.inputs.amount
    charges.refund(payment_id, charges.another["amount"]).refused(422)
    require(not charges.refunds(payment_id), "it was refused, and a refund made")
    answers = charges.at_once(lambda _: charges.refund(payment_id, amount))
    accepted = [answer for answer in answers if answer.ok]
    if accepted and all(answer.row("status")["status"] == "rejected" for answer in accepted):
        raise NotObservableError("a refund of the whole is rejected")
    made = len(accepted)
    require(made == 1, f"{made} refunds of the whole at once")
    charges.refund(payment_id, charges.units(1)).refused(422)
    refunded = total(charges.refunds(payment_id))
    require(refunded == Decimal(amount), f"{refunded} of {amount} are refunded")
    return f"422 above {amount}, one of {len(answers)} at once, 422 after it"


def refund_sum(charges: Charges) -> str:
    payment = charges.make_taken()
    payment_id = payment["payment_id"]
    asked = [charges.units(1), charges.units(2)]
    made = [charges.refund(payment_id, amount).row("refund_id", "currency") for amount in asked]
    listed = {row["refund_id"]: row for row in charges.settled_refunds(payment_id)}
    require(set(listed) == {row["refund_id"] for row in made}, "answers and listing differ")
    for amount, row in zip(asked, made, strict=True):
        shown = listed[row["refund_id"]]
        said = f"{shown['amount']} {shown['currency']}"
        require(said == f"{amount} {charges.inputs.currency}", f"{amount} is listed as {said}")
    return _agrees(charges, payment)


def _agrees(charges: Charges, payment: Row) -> str:
    refunds = charges.settled_refunds(payment["payment_id"])
    succeeded = [refund for refund in refunds if refund["status"] == "succeeded"]
    if not succeeded:
        raise NotObservableError("no refund succeeds")
    listed = [row for row in charges.listed(payment["reference"]) if charges.same(row, payment)]
    if not listed:
        raise NotObservableError("no listing shows the payment")
    shown = decimal(listed[0]["refunded_amount"])
    expected = total(succeeded)
    require(shown == expected, f"refunded_amount is {shown}, the refunds are {expected}")
    return f"{len(succeeded)} refunds, refunded_amount {shown}"


def all_refunds_listed(charges: Charges) -> str:
    payment_id, given = charges.make_taken()["payment_id"], charges.inputs
    units = int(Decimal(given.amount) / Decimal(charges.units(1)))
    count = min(given.many, units - 1)
    asked = [charges.refund(payment_id, charges.units(1)) for _ in range(count)]
    made = {answer.row("refund_id")["refund_id"] for answer in asked}
    for _ in charges.looks():
        listed = {row["refund_id"] for row in charges.all_refunds(payment_id)}
        if made <= listed:
            break
    require(made <= listed, f"{len(made & listed)} of {len(made)} are listed")
    require(len(made) == count, f"{count} keys made {len(made)} refunds")
    return f"{count} in one page"


def refund_key(charges: Charges) -> str:
    payment_id, key = charges.make_taken()["payment_id"], charges.new_key()
    part = charges.units(1)
    answers = charges.at_once(lambda _: charges.refund(payment_id, part, key=key))
    answers.append(charges.refund(payment_id, part, key=key))
    ids = {answer.row("refund_id")["refund_id"] for answer in answers}
    require(len(ids) == 1, f"{len(ids)} refunds under one key")
    charges.refund(payment_id, charges.units(2), key=key).refused(422)
    count = len(charges.refunds(payment_id))
    require(count == 1, f"{count} refunds are listed, one was asked for")
    return f"{len(answers)} requests, one refund; 422 for another sum"


def void_of_taken(charges: Charges) -> str:
    payment = charges.make_taken()
    for _ in range(2):
        voided = charges.void(payment["payment_id"]).row("status", "refunded_amount")
        require(voided["status"] == "succeeded", f"a void makes it {voided['status']}")
        require(decimal(voided["refunded_amount"]) == 0, "a void refunds it")
    require(not charges.refunds(payment["payment_id"]), "a void refunds it")
    return "still succeeded, nothing refunded"


def void_of_pending(charges: Charges) -> str:
    token = charges.inputs.pending_token
    reference = charges.new_reference()
    answer = charges.post(reference, charges.new_key(), token=token)
    if answer.status in (400, 422):
        raise NotObservableError(f"{answer.said}: --pending-token")
    made = charges.shown(answer, reference)
    if made["status"] != "pending":
        raise NotObservableError(f"this token is {made['status']}, not pending")
    for _ in range(2):
        row = charges.void(made["payment_id"]).row("status", "payment_id", "reference")
        if row["status"] == "succeeded":
            raise NotObservableError("it succeeded before the void")
        require(row["status"] == "voided", f"a void leaves it {row['status']}")
    charges.watch(row)
    charges.refund(made["payment_id"], charges.units(1)).refused(422)
    return "voided, twice; a refund of it is 422"


def refund_by_hand(_: Charges) -> str:
    raise NotObservableError("a person makes one at the provider")


def dispute(_: Charges) -> str:
    raise NotObservableError("only a bank opens one")


def refund_final(_: Charges) -> str:
    raise NotObservableError("banks return a refund days later")


PROMISES = (
    Promise(
        "decimals",
        "Sums are those asked for, with the decimals of their currency.",
        "We cannot read the sum: unknown outcome and alarm.",
        decimals,
    ),
    Promise(
        "refund_limit",
        "Never more is refunded than is left, also at once.",
        "A second refund gives our money away.",
        refund_limit,
    ),
    Promise(
        "refund_sum",
        "refunded_amount is the sum of the refunds listed.",
        "We miss a refund by hand, or refund again.",
        refund_sum,
    ),
    Promise(
        "all_refunds_listed",
        "All refunds of a payment are listed, in one page.",
        "A refund stays unseen, and we refund again.",
        all_refunds_listed,
    ),
    Promise(
        "refund_key",
        "A refund acts once per key; another sum is 422.",
        "A retry refunds twice.",
        refund_key,
    ),
    Promise(
        "void_of_taken",
        "A void of a succeeded payment changes nothing.",
        "A trip loses its money unseen.",
        void_of_taken,
    ),
    Promise(
        "void_of_pending",
        "A void ends a pending payment for good.",
        "An expired reservation is charged later.",
        void_of_pending,
    ),
    Promise(
        "refund_by_hand",
        "A refund that we did not ask for is listed, too.",
        "A trip loses its money unseen.",
        refund_by_hand,
    ),
    Promise(
        "dispute",
        "An open dispute is shown with its payment.",
        "We refund disputed money.",
        dispute,
    ),
    Promise(
        "refund_final",
        "A refund that the bank returns is listed as rejected.",
        "A traveler waits for money that came back.",
        refund_final,
    ),
)
