"""The web page where a traveler sees or cancels a reservation."""

from dataclasses import dataclass
from urllib.parse import urlencode

from reservations.domain.access_token import KeyRing
from reservations.domain.codes import display
from reservations.domain.reservation import Reservation


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagePage:
    """The page and the keys of its links. Without a `url`, mails have no link."""

    url: str | None
    keys: KeyRing

    def link_to(self, reservation: Reservation) -> str | None:
        """The page's address, with code and access token in the fragment, which no server is sent.

        Return `None` without a page, or if the token's key left the ring: such a token opens nothing.
        """
        kid = reservation.token_kid
        if self.url is None or kid not in self.keys.keys:
            return None
        token = self.keys.issue(kid, reservation.reservation_id, reservation.token_version)
        fragment = urlencode({"code": display(reservation.code), "token": token})
        return f"{self.url}#{fragment}"
