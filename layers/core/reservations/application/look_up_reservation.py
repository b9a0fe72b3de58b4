"""Mail a traveler the way back to a reservation. The caller never learns whether there is one.

Each lookup does the same work in the database: one reading, one place of a quota, one mail. A miss
takes the place of a decoy, and its mail is of an id that no reservation has. So neither the answer
nor the time of a lookup shows whether it matched.
"""

import hmac
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from reservations.application.ports import Addressee, Quota, UnitOfWork
from reservations.domain.access_token import KeyRing

_NOBODY = UUID(int=0)  # an id that no reservation has
_MATCHES_PER_HOUR = 3  # for each reservation
_DECOYS = 4096  # so few rows, and hardly ever one that another lookup has locked
_NO_LIMIT = 1_000_000_000


class LookedUp(StrEnum):
    """The outcome of a lookup. All three get the same answer."""

    MATCHED = "matched"
    MISSED = "missed"
    TOO_OFTEN = "too_often"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """A canonical code and an address, in the form that is stored, sent by a client."""

    client_id: str
    code: str = field(repr=False)
    email: str = field(repr=False)


def look_up_reservation(wanted: Lookup, *, uow: UnitOfWork, keys: KeyRing) -> LookedUp:
    """Make the mail with the link due if code and address belong to a reservation of the client.

    Raises:
        UnavailableError: the database did not answer; a retry is safe.
    """
    with uow:
        found = uow.lookups.find(wanted.code)
        matched = found is not None and _belongs_to(wanted, found)
        reservation_id = found.reservation_id if found and matched else _NOBODY
        now = uow.now()
        quota = _quota(reservation_id, keys) if matched else _decoy(keys)
        place = uow.unpaid_mails.take([quota], now=now, last=now)
        uow.lookups.ask(reservation_id if place else _NOBODY, now=now)
        uow.commit()
    if not matched:
        return LookedUp.MISSED
    return LookedUp.MATCHED if place else LookedUp.TOO_OFTEN


def _belongs_to(wanted: Lookup, found: Addressee) -> bool:
    typed, stored = (email.lower().encode() for email in (wanted.email, found.email))
    return hmac.compare_digest(typed, stored) and found.client_id == wanted.client_id


def _quota(reservation_id: UUID, keys: KeyRing) -> Quota:
    # A rotation begins the count again: for an hour twice as many may match.
    return Quota(keys.digests("lookup:v1:", str(reservation_id))[0], _MATCHES_PER_HOUR)


def _decoy(keys: KeyRing) -> Quota:
    number = secrets.randbelow(_DECOYS)
    return Quota(keys.digests("lookup:decoy:v1:", str(number))[0], _NO_LIMIT)
