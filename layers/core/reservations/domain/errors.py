"""What can go wrong, by one question: may a retry help?

ReservationsError
├── RefusedError        the request or the rules say no; a retry cannot help
│   ├── ReservationNotFoundError
│   ├── NotCancellableError
│   ├── IdempotencyKeyReusedError
│   └── InvalidReservationCodeError
├── DefectError         we broke a rule of our own; a retry is safe, and somebody has to look
│   ├── InvalidMoneyError
│   ├── DuplicateCodeError
│   ├── KnowledgeLostError
│   └── VoucherNotDrawnError
└── UnavailableError    our own infrastructure did not answer; a retry is safe
    ├── RequestInFlightError
    ├── DatabaseBusyError
    ├── DatabaseUnavailableError
    ├── SchemaOutdatedError
    ├── QueueUnavailableError
    ├── DocumentStoreUnavailableError
    └── SettingsError

What a provider or the mail service answers, or does not, is an outcome, never an error.
"""


class ReservationsError(Exception):
    """Carries a stable code for logs and metrics."""

    code = "reservations_error"


class RefusedError(ReservationsError):
    """The request or the rules say no."""


class ReservationNotFoundError(RefusedError):
    code = "not_found"


class NotCancellableError(RefusedError):
    code = "not_cancellable"


class IdempotencyKeyReusedError(RefusedError):
    code = "idempotency_key_reused"


class InvalidReservationCodeError(RefusedError):
    code = "invalid_reservation_code"


class DefectError(ReservationsError):
    """We broke a rule of our own, unless whoever called expects it and catches it."""


class InvalidMoneyError(DefectError):
    """`reason` says what is wrong, for machines; a body's sum is judged where it is read."""

    code = "invalid_money"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DuplicateCodeError(DefectError):
    """A new reservation's code is taken: draw another."""

    code = "duplicate_code"


class KnowledgeLostError(DefectError):
    """A write would forget: a lower status, another provider id, a second stamp."""

    code = "knowledge_lost"


class VoucherNotDrawnError(DefectError):
    """No drawing of the voucher succeeded, not even the plain one with boxes."""

    code = "voucher_not_drawn"


class UnavailableError(ReservationsError):
    """Our own infrastructure did not answer."""


class RequestInFlightError(UnavailableError):
    """Another request holds the same idempotency key."""

    code = "request_in_flight"


class DatabaseBusyError(UnavailableError):
    """A lock was not granted; the transaction is rolled back, and may run again if `deadlock`."""

    code = "busy_try_again"

    def __init__(self, message: str = "", *, deadlock: bool = False) -> None:
        super().__init__(message)
        self.deadlock = deadlock


class DatabaseUnavailableError(UnavailableError):
    """The connection failed; `effect_unknown` if it failed inside the commit."""

    code = "database_unavailable"

    def __init__(self, message: str = "", *, effect_unknown: bool = False) -> None:
        super().__init__(message)
        self.effect_unknown = effect_unknown


class SchemaOutdatedError(UnavailableError):
    """The database was not migrated to what this code needs, or is configured against its rules."""

    code = "schema_outdated"


class QueueUnavailableError(UnavailableError):
    code = "queue_unavailable"


class DocumentStoreUnavailableError(UnavailableError):
    code = "document_store_unavailable"


class SettingsError(UnavailableError):
    """Settings are missing or malformed; the message names every one of them, and no value."""

    code = "settings_invalid"
