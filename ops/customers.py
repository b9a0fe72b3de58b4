"""Commands about a customer: another copy of a mail, another address."""

import click
from pydantic_core import PydanticCustomError

from ops.desk import (
    Desk,
    OpsError,
    Values,
    acts,
    code,
    make_sure,
    pass_desk,
    reference,
    sure,
    typed,
)
from reservations.application import operate
from reservations.application.cases import find_reservation
from reservations.domain.codes import display
from reservations.domain.reservation import MailKind


@click.group
def mail() -> None:
    """The mails of a reservation."""


@mail.command
@code
@click.option(
    "--kind", type=Values(MailKind), help="By default the last mail that fits the status."
)
@acts
@pass_desk
def resend(desk: Desk, code: str, kind: MailKind | None, actor: str) -> None:
    """Send one more copy of a mail, with the voucher if there is one. A step sends it."""
    sent = operate.resend_mail(code, kind, cases=desk.services.cases(actor=actor))
    desk.say({"due": {"code": code, "mail": sent, "follow it": f"bin/ops watch {code}"}})


@click.group
def customer() -> None:
    """The personal data of a reservation. No command shows them."""


@customer.command(name="set-email")
@code
@click.option(
    "--evidence",
    required=True,
    metavar="REF",
    callback=reference,
    help="A ticket that proves who asked.",
)
@sure
@acts
@pass_desk
def set_email(desk: Desk, code: str, evidence: str, yes: bool, actor: str) -> None:
    """Change the mail address to the one on standard input. The old one gets a notice.

    Earlier links stop working. Send a mail with the new one by `ops mail resend`.
    """
    address = _checked(typed("New address: "))
    with desk.services.unit_of_work() as uow:
        reservation = find_reservation(code, uow=uow)
        before = uow.reservations.customer(reservation.reservation_id)
    old, new = masked(before.email), masked(address)
    make_sure(yes, f"Change the address of {display(reservation.code)} from {old} to {new}?")
    changed = operate.change_address(
        code,
        address,
        evidence=evidence,
        cases=desk.services.cases(actor=actor),
        keys=desk.services.key_ring(),
    )
    shown = display(changed.code)
    desk.say(
        {
            "changed": {
                "code": shown,
                "from": old,
                "to": new,
                "notice to the old address": "due",
                "follow it": f"bin/ops watch {shown}",
                "next": f"bin/ops mail resend {shown}",
            }
        }
    )


def _checked(address: str) -> str:
    from reservations.entrypoints.contact import stored_email

    try:
        return stored_email(address)
    except PydanticCustomError as error:
        raise OpsError("No mail can be sent to that address. Nothing was changed.") from error


def masked(address: str) -> str:
    """Show enough of an address to recognise it, and not enough to use it."""
    local, _, domain = address.rpartition("@")
    name, _, top = domain.rpartition(".")
    return f"{local[:1]}…@{name[:1]}….{top}" if address else "erased"
