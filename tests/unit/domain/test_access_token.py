"""Only the bearer of the issued access token may read a reservation."""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable
from uuid import UUID

import pytest

from reservations.domain.access_token import KeyRing
from reservations.domain.errors import SettingsError

RESERVATION = UUID(int=1)
ANOTHER = UUID(int=2)

OLD, NEW = b"o" * 32, b"n" * 32
RING = KeyRing("k2", {"k1": OLD, "k2": NEW})


@pytest.mark.parametrize("kid", ["k1", "k2"])
def test_a_token_verifies_with_its_own_key_for_its_own_reservation(kid: str) -> None:
    token = RING.issue(kid, RESERVATION)

    assert RING.verify(token, kid, RESERVATION)
    assert not RING.verify(token, kid, ANOTHER)
    assert not RING.verify(token, "k1" if kid == "k2" else "k2", RESERVATION)


def test_a_token_is_the_same_every_time() -> None:
    assert RING.issue("k2", RESERVATION) == KeyRing("k2", {"k2": NEW}).issue("k2", RESERVATION)


def test_a_token_is_the_documented_hmac() -> None:
    # printf %s reservation-access:v1:00000000-0000-0000-0000-000000000001 |
    #   openssl dgst -sha256 -hmac nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn -binary | base64url
    assert RING.issue("k2", RESERVATION) == "k2.fcPPgFJtONdsLdmL6dYrwvudCA5xn0Je8d364dxKBXU"


def test_a_token_of_a_later_version_is_the_documented_hmac() -> None:
    # printf %s reservation-access:v1:00000000-0000-0000-0000-000000000001:2 | openssl … as above
    assert RING.issue("k2", RESERVATION, 2) == "k2.VOpGAzlIr8UUVrV427BRm3LyqjNnV8ybZlLAg4nfZzs"


def test_a_token_opens_its_own_version_only() -> None:
    versions = range(3)
    tokens = [RING.issue("k2", RESERVATION, version) for version in versions]

    opened = [
        [RING.verify(token, "k2", RESERVATION, version) for version in versions] for token in tokens
    ]

    assert opened == [[version == own for version in versions] for own in versions]


@pytest.mark.parametrize("token", ["", "k2.", "k2", "\u00e9" * 46, "\udc80", "A" * 10_000])
def test_a_wrong_token_is_refused(token: str) -> None:
    assert not RING.verify(token, "k2", RESERVATION)


def test_a_token_whose_key_is_gone_is_refused() -> None:
    token = RING.issue("k1", RESERVATION)

    assert not KeyRing("k2", {"k2": NEW}).verify(token, "k1", RESERVATION)


@pytest.mark.parametrize("compute", [KeyRing.issue, KeyRing.document_name])
def test_a_missing_key_is_named_in_the_error(
    compute: Callable[[KeyRing, str, UUID], str],
) -> None:
    with pytest.raises(SettingsError, match="the key ring lacks the key k3"):
        compute(RING, "k3", RESERVATION)


def test_no_token_opens_a_reservation_that_does_not_exist() -> None:
    assert not RING.verify_nothing(RING.issue("k2", UUID(int=0)))


def test_the_document_name_is_not_the_token() -> None:
    name = RING.document_name("k2", RESERVATION)

    assert name not in RING.issue("k2", RESERVATION)
    assert name == RING.document_name("k2", RESERVATION)
    assert name != RING.document_name("k2", ANOTHER)


def test_a_document_name_is_the_documented_hmac() -> None:
    # A stored document must be found again after any change of this code.
    said = b"reservation-document:v1:00000000-0000-0000-0000-000000000001"
    expected = urlsafe_b64encode(hmac.digest(NEW, said, "sha256")).decode().rstrip("=")

    assert RING.document_name("k2", RESERVATION) == expected


def test_the_ring_shows_no_key() -> None:
    assert "nnn" not in repr(RING)
    assert "ooo" not in repr(RING)


def test_a_ring_without_its_current_key_is_refused() -> None:
    with pytest.raises(ValueError, match="current"):
        KeyRing("k3", {"k2": NEW})


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        KeyRing("k2", {"k2": NEW[:31]})
