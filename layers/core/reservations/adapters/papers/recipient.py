"""Addresses that a mail can be sent to. The door asks too, and needs nothing else of a mail."""

from email.errors import MessageError
from email.headerregistry import Address


class UnmailableAddressError(ValueError):
    """The recipient's address cannot be written in a mail. SES takes ASCII addresses only."""

    def __init__(self) -> None:
        super().__init__("the address cannot be written in a mail header")


def recipient(text: str) -> Address:
    """Read the address of a recipient.

    Raises:
        UnmailableAddressError: it is no single ASCII address.
    """
    try:
        address = Address(addr_spec=text)
    except (
        ValueError,
        IndexError,
        MessageError,
    ):  # all three escape the parser of the standard library
        raise UnmailableAddressError from None
    if not text.isascii() or not address.domain:
        raise UnmailableAddressError
    return address
