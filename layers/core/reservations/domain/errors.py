"""The error tree. Each branch answers one question: may a retry help?

ReservationsError
├── RefusedError        the request or a rule forbids it: a retry cannot help
│   ├── ReservationNotFoundError
│   ├── NotCancellableError
│   ├── IdempotencyKeyReusedError
│   ├── PaymentInProgressError
│   └── InvalidReservationCodeError
├── DefectError         our own code broke a rule: a retry is safe, a person must check
│   ├── InvalidMoneyError
│   ├── DuplicateCodeError
│   ├── KnowledgeLostError
│   ├── StatementRefusedError
│   └── VoucherNotDrawnError
└── UnavailableError    our own infrastructure did not answer: a retry is safe
    ├── RequestInFlightError
    ├── DatabaseBusyError
    ├── DatabaseUnavailableError
    ├── SchemaOutdatedError
    ├── QueueUnavailableError
    ├── DocumentStoreUnavailableError
    └── SettingsError

An answer or a silence of a provider or of the mail service is an outcome, never an error.
"""


class ReservationsError(Exception):
    """The root of the tree. `code` is stable, for logs and metrics."""

    code = "reservations_error"


class RefusedError(ReservationsError):
    """The request or a rule forbids it."""


class ReservationNotFoundError(RefusedError):
    code = "not_found"


class NotCancellableError(RefusedError):
    code = "not_cancellable"


class IdempotencyKeyReusedError(RefusedError):
    code = "idempotency_key_reused"


class PaymentInProgressError(RefusedError):
    """Another reservation charges the same payment token for the same. `reservation_code` is its code."""

    code = "payment_in_progress"

    def __init__(self, reservation_code: str) -> None:
        super().__init__(self.code)
        self.reservation_code = reservation_code


class InvalidReservationCodeError(RefusedError):
    code = "invalid_reservation_code"


class DefectError(ReservationsError):
    """Our own code broke a rule. A caller that expects the error may catch it."""


class InvalidMoneyError(DefectError):
    """An invalid amount; `reason` is a code. Amounts of request bodies are validated at the edge."""

    code = "invalid_money"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DuplicateCodeError(DefectError):
    """The code of a new reservation is taken: draw another."""

    code = "duplicate_code"


class KnowledgeLostError(DefectError):
    """A write would lose knowledge: a lower status, another provider id, a second timestamp."""

    code = "knowledge_lost"


class StatementRefusedError(DefectError):
    """The database refused a statement of ours. The text names it, without its values."""

    code = "statement_refused"


class VoucherNotDrawnError(DefectError):
    """No rendering of the voucher succeeded, not even the plain one with boxes."""

    code = "voucher_not_drawn"


class UnavailableError(ReservationsError):
    """Our own infrastructure did not answer."""


class RequestInFlightError(UnavailableError):
    """Another request holds the same idempotency key."""

    code = "request_in_flight"


class DatabaseBusyError(UnavailableError):
    """A lock was not granted and the transaction rolled back. It may run again if `deadlock`."""

    code = "busy_try_again"

    def __init__(self, message: str = "", *, deadlock: bool = False) -> None:
        super().__init__(message)
        self.deadlock = deadlock


class DatabaseUnavailableError(UnavailableError):
    """The connection failed. `effect_unknown` is set if it failed inside the commit."""

    code = "database_unavailable"

    def __init__(self, message: str = "", *, effect_unknown: bool = False) -> None:
        super().__init__(message)
        self.effect_unknown = effect_unknown


class SchemaOutdatedError(UnavailableError):
    """The database lacks a migration that this code needs, or breaks one of its settings."""

    code = "schema_outdated"


class QueueUnavailableError(UnavailableError):
    code = "queue_unavailable"


class DocumentStoreUnavailableError(UnavailableError):
    code = "document_store_unavailable"


class SettingsError(UnavailableError):
    """Settings are missing or malformed. The message names each of them and shows no value."""

    code = "settings_invalid"
