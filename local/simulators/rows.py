"""Rows changed by hand: a provider that contradicts what it said."""

import json
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from local.simulators.ledger import Entry, NoSuchEntryError
from local.simulators.provider import Body, Kind, Provider, RefusedError, Request

Amount = Annotated[str, Field(pattern=r"^(0|[1-9]\d{0,11})(\.\d{1,3})?$")]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._~:-]{0,127}$")]


class RowChange(Body):
    """Set members of a row, which also brings a removed one back, or remove it."""

    kind: str
    id: Identifier
    members: dict[str, Any] | None = Field(default=None, alias="set")
    remove: Literal[True] | None = None
    silent: bool = False

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        if (self.members is None) == (self.remove is None):
            raise ValueError("either set or remove")
        return self


def rows_of(provider: Provider, reference: str) -> list[dict[str, Any]]:
    """Return all rows under a reference, also those removed or not listed yet."""
    return [
        _row(name, kind, entry)
        for name, kind in provider.kinds.items()
        for entry in kind.ledger.of(reference)
    ]


def change_row(provider: Provider, request: Request) -> dict[str, Any]:
    """Change one row and announce it. Return the row.

    Raises:
        RefusedError: unknown kind or member, invalid value, or an id that is taken.
        NoSuchEntryError: there is no such row.
    """
    change = request.parse(RowChange)
    kind = provider.kinds.get(change.kind)
    if kind is None:
        names = ", ".join(provider.kinds)
        raise RefusedError(422, "validation_failed", f"kind: one of {names}")
    entry = kind.ledger.rows.get(change.id)
    if change.members is None:
        if entry is None:
            raise NoSuchEntryError(f"there is no {change.id}")
        changed, event = kind.ledger.put(replace(entry, removed=True)), f"{change.kind}.removed"
    else:
        body = json.dumps(change.members).encode()
        members = replace(request, body=body).parse(kind.members).model_dump(exclude_unset=True)
        event = _event(change.kind, members)
        changed = _set(provider, kind, entry or _made(kind, change.id, members), members)
    if not change.silent:
        provider.announce(event, kind, changed)
    return _row(change.kind, kind, changed)


def _row(name: str, kind: Kind, entry: Entry) -> dict[str, Any]:
    about = {"kind": name, "id": entry.provider_id, "reference": entry.reference}
    return about | kind.about(entry) | kind.show(entry) | {"removed": entry.removed}


def _event(kind: str, members: dict[str, Any]) -> str:
    if dispute := members.get("dispute"):
        return f"dispute.{dispute['status']}"
    return f"{kind}.{members.get('status', 'updated')}"


def _made(kind: Kind, provider_id: str, members: dict[str, Any]) -> Entry:
    if kind.make is None:
        raise NoSuchEntryError(f"there is no {provider_id}")
    return kind.make(provider_id, members)


def _set(provider: Provider, kind: Kind, entry: Entry, members: dict[str, Any]) -> Entry:
    """Write members into an entry. A status set by hand does not change by itself."""
    if members.pop("payment_id", entry.target) != entry.target:
        raise RefusedError(422, "validation_failed", "payment_id: it is of another payment")
    provider_id = members.pop("id", entry.provider_id)
    if provider_id != entry.provider_id and provider_id in kind.ledger.rows:
        raise RefusedError(409, "id_taken", f"there is a {provider_id}")
    if "status" in members:
        ours = {word: status for status, word in kind.words.items()}
        members |= {"status": ours.get(members["status"], members["status"]), "becomes": None}
    changed = kind.ledger.put(replace(entry, removed=False, **members))
    return _reissued(provider, kind, changed, provider_id)


def _reissued(provider: Provider, kind: Kind, entry: Entry, provider_id: str) -> Entry:
    """Give an entry another id. The refunds of a payment follow it."""
    if provider_id == entry.provider_id:
        return entry
    for other in provider.kinds.values():
        for refund in other.ledger.of_payment(entry.provider_id):
            other.ledger.put(replace(refund, target=provider_id))
    return kind.ledger.rename(entry, provider_id)
