"""Commands that change reservations."""

from datetime import timedelta

import click

from ops.desk import (
    Desk,
    Values,
    acts,
    code,
    make_sure,
    pass_desk,
    reference,
    span,
    sure,
)
from reservations.application import operate
from reservations.domain.codes import display
from reservations.domain.facts import Decision


@click.command
@code
@acts
@pass_desk
def nudge(desk: Desk, code: str, actor: str) -> None:
    """Make every call due now, and every mail refused or of unknown outcome. The steps do the rest."""
    nudged = operate.check_now(code, cases=desk.services.cases(actor=actor))
    desk.show_changed("nudged", nudged)


@click.command
@code
@sure
@acts
@pass_desk
def cancel(desk: Desk, code: str, yes: bool, actor: str) -> None:
    """Cancel on a customer's behalf: the booking is cancelled and the money refunded."""
    make_sure(yes, f"Cancel {code}?")
    cancelled = operate.cancel(code, cases=desk.services.cases(actor=actor))
    desk.show_changed("cancelled", cancelled)


@click.command
@code
@sure
@acts
@pass_desk
def erase(desk: Desk, code: str, yes: bool, actor: str) -> None:
    """Delete personal data and documents for good; refused while money is open."""
    make_sure(yes, f"Delete the personal data of {code} for good?")
    cases = desk.services.cases(actor=actor)
    erased = operate.erase(code, cases=cases, store=desk.document_store())
    desk.say({"erased": {"code": code, "found": "yes" if erased else "nothing was left"}})


@click.group
def review() -> None:
    """End a review with evidence that a person has seen."""


@review.command(name="resolve")
@code
@click.option(
    "--reason",
    "decision",
    type=Values(Decision),
    required=True,
    help="paid: accept the charged sum. not_charged, not_booked: the provider has no record of it."
    " refunded, booked, cancelled: the evidence shows that it was done."
    " stands: nothing changed. gone: the booking does not exist; it is cancelled and refunded."
    " rebooked: it has another id. honoured: keep the trip as it is, and accept the loss."
    " refund_again: send one more refund. returned: the traveler has the money by another way.",
)
@click.option(
    "--evidence",
    required=True,
    metavar="REF",
    callback=reference,
    help="A bank or ticket reference to check it by; for booked and rebooked, the supplier's booking id.",
)
@click.option(
    "--target",
    metavar="ID|KIND|KIND:ID",
    help="The payment, booking or refund, if several are in question, or the kind of review.",
)
@acts
@pass_desk
def resolve(
    desk: Desk, code: str, decision: Decision, evidence: str, target: str | None, actor: str
) -> None:
    """Record your decision as a fact, and let the reservation go on."""
    resolved = operate.resolve_review(
        code,
        decision,
        evidence=evidence,
        target=target,
        cases=desk.services.cases(actor=actor),
    )
    desk.show_changed("resolved", resolved)


@click.group
def token() -> None:
    """The access token of a reservation."""


@token.command(name="reissue")
@code
@click.option("--show", is_flag=True, help="Print the new token: it opens the reservation.")
@acts
@pass_desk
def reissue(desk: Desk, code: str, show: bool, actor: str) -> None:
    """Give a reservation another token, so that a leaked one stops working."""
    keys = desk.services.key_ring()
    moved = operate.reissue_token(code, cases=desk.services.cases(actor=actor), keys=keys)
    answer = {"code": display(moved.code), "token_kid": moved.token_kid}
    if show:
        answer["access_token"] = keys.issue(
            moved.token_kid, moved.reservation_id, moved.token_version
        )
    desk.say({"reissued": answer})


@click.command
@click.option(
    "--since",
    default="24h",
    show_default=True,
    callback=span,
    help="Calls sent in this time: 90m, 24h, 7d.",
)
@acts
@pass_desk
def reconcile(desk: Desk, since: timedelta, actor: str) -> None:
    """Make every open or recent call due: the steps inquire about each."""
    oversight = desk.services.oversight()
    cases = desk.services.cases(actor=actor)
    looked = operate.reconcile(oversight.now() - since, cases=cases, oversight=oversight)
    desk.say(
        {
            "made due": {
                "reservations": looked.reservations,
                "payments_calls": looked.payments_calls,
                "supplier_calls": looked.supplier_calls,
            }
        }
    )
