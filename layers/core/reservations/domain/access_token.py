"""The access token: proof that its bearer made the reservation. It is computed, never stored."""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from reservations.domain.errors import SettingsError

_ACCESS = "reservation-access:v1:"
_DOCUMENT = "reservation-document:v1:"
_UNUSED = UUID(int=0)  # an id that no reservation has
_MINIMUM_KEY_BYTES = 32  # RFC 2104, section 3: not shorter than the hash


@dataclass(frozen=True, slots=True, eq=False)
class KeyRing:
    """Secrets by key id. New reservations get `current`; the others still verify.

    Raises:
        ValueError: the current key is missing, or a key is shorter than 32 bytes.
    """

    current: str
    keys: Mapping[str, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        if self.current not in self.keys:
            raise ValueError("the key ring lacks its current key")
        if any(len(key) < _MINIMUM_KEY_BYTES for key in self.keys.values()):
            raise ValueError(f"every access-token key needs at least {_MINIMUM_KEY_BYTES} bytes")

    def issue(self, kid: str, reservation_id: UUID, version: int = 0) -> str:
        """Compute a reservation's token: the same for the same key and version.

        Version 0 is the token of the creation, so a replayed answer can show it.

        Raises:
            SettingsError: the ring has no such key, not yet or not any more.
        """
        subject = f"{reservation_id}:{version}" if version else str(reservation_id)
        return f"{kid}.{self._derive(kid, _ACCESS, subject)}"

    def document_name(self, kid: str, reservation_id: UUID) -> str:
        """Compute the reservation's document name, which no one without the key can guess.

        Raises:
            SettingsError: the ring has no such key, not yet or not any more.
        """
        return self._derive(kid, _DOCUMENT, str(reservation_id))

    def digests(self, purpose: str, text: str) -> tuple[bytes, ...]:
        """Keyed hashes of a text, 32 bytes each: under `current`, then under the other keys.

        A hash of before a rotation is among those of after it.
        """
        kids = sorted(self.keys, key=lambda kid: (kid != self.current, kid))
        message = f"{purpose}{text}".encode()
        return tuple(hmac.digest(self.keys[kid], message, "sha256") for kid in kids)

    def verify(self, token: str, kid: str, reservation_id: UUID, version: int = 0) -> bool:
        """Compare the token with the reservation's, in constant time."""
        if kid not in self.keys:
            return self.verify_nothing(token)
        return _same(token, self.issue(kid, reservation_id, version))

    def verify_nothing(self, token: str) -> bool:
        """Refuse a token for a code that does not exist, as slowly as for one that does."""
        _same(token, self.issue(self.current, _UNUSED))
        return False

    def _derive(self, kid: str, purpose: str, subject: str) -> str:
        if kid not in self.keys:
            raise SettingsError(f"the key ring lacks the key {kid}")
        digest = hmac.digest(self.keys[kid], f"{purpose}{subject}".encode(), "sha256")
        return urlsafe_b64encode(digest).decode().rstrip("=")


def _same(token: str, expected: str) -> bool:
    return hmac.compare_digest(token.encode(errors="backslashreplace"), expected.encode())
