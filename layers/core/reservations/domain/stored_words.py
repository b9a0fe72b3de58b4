"""Words in stored columns that are in no list of this release.

Rows outlive every list, and two releases run at once during a deployment. A word that is valid for
new input and a word that can be read are two questions. The CHECKs of the tables answer the first.
This table answers the second:

| Column | A word that this release does not know |
|---|---|
| `reservation.state`, `reservation.review` | kept as stored; the reservation is frozen |
| `reservation.reason` | the reservation is closed, so no service is given; it is frozen |
| `provider_call.operation` | the row is set aside and stays as stored; the reservation is frozen |
| `provider_call.status` | above every status of ours, its end unknown; the reservation is frozen |
| `contradiction.kind` | the row is set aside and stays as stored; the reservation is frozen |
| `contradiction.decision` | kept as stored; the reservation is frozen |
| `provider_attempt.verb` | shown |
| `document.type` | not shown to the traveler; erased and removed as any document |
| `mail_send.kind`, `mail_send.status` | left alone: never sent, never overwritten |
| `customer.language` | the traveler reads Spanish |
| `outbox.queue`, `outbox.status` | the hint waits for the release that knows it |

A currency is no word of ours: `money` keeps the digits of all that were ever in use. A row in any other
is not readable, as its amount could not be told. It stays due, which rings an alarm.

A *frozen* reservation is read, shown and cancelled; webhooks are taken, and answers to requests under
way are recorded. Nothing is sent to a provider or to the traveler, and no verdict is taken. It is in
review (`unknown_word`) and is looked at again, until a release that knows the word goes on.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownWord:
    """A word that freezes its reservation."""

    column: str
    word: str

    def __str__(self) -> str:
        return f"{self.column}={self.word}"


def read_word(words: type[E], stored: str) -> E:
    """Read a stored word. An unknown one equals no member and is written back as it was."""
    try:
        return words(stored)
    except ValueError:
        word = str.__new__(words, stored)
        word._name_ = word._value_ = stored
        return word


def is_known(word: StrEnum) -> bool:
    """Return `False` for a word that `read_word` found in no list."""
    return word in set(type(word))
