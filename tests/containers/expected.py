"""Expected answer to each event of events/ by its function in a container."""

from typing import Any

from reservations.adapters.mysql.readiness import HEAD

# Answers about a confirmed reservation of the web client.
STATUS = {
    "cancel_reservation.accepted": 202,
    "cancel_reservation.another_client": 404,
    "cancel_reservation.key_reused": 404,  # the other reservation does not exist here
    "cancel_reservation.malformed_key": 400,
    "cancel_reservation.without_key": 400,
    "cancel_reservation.without_token": 401,
    "cancel_reservation.wrong_token": 404,
    "create_reservation.accepted": 202,
    "create_reservation.invalid_body": 422,
    "create_reservation.key_reused": 202,  # the first with this key here
    "create_reservation.malformed_json": 400,
    "create_reservation.unknown_client": 401,
    "create_reservation.without_key": 400,
    "get_reservation.another_client": 404,
    "get_reservation.health": 200,
    "get_reservation.shown": 200,
    "get_reservation.timeline": 200,
    "get_reservation.unchanged": 304,
    "get_reservation.unknown_route": 404,
    "get_reservation.voucher": 303,
    "get_reservation.voucher_as_json": 200,
    "get_reservation.without_token": 401,
    "get_reservation.wrong_token": 404,
    "look_up_reservation.malformed": 422,
    "look_up_reservation.sent": 202,
    # Signed for a fixed moment with the tests' secrets, which are unknown here.
    "receive_webhook.another_s_secret": 401,
    "receive_webhook.booking_cancelled": 401,
    "receive_webhook.forged_body": 401,
    "receive_webhook.in_base64": 401,
    "receive_webhook.malformed_json": 401,
    "receive_webhook.payment_succeeded": 401,
    "receive_webhook.unknown_provider": 404,
    "receive_webhook.unknown_reference": 401,
    "receive_webhook.without_signature": 401,
}
EVERY_RECORD_HANDLED: dict[str, Any] = {"batchItemFailures": []}
OTHERS: dict[str, Any] = {
    "confirm_supplier.due": EVERY_RECORD_HANDLED,
    "issue_voucher.batch": EVERY_RECORD_HANDLED,
    "issue_voucher.due": EVERY_RECORD_HANDLED,
    "migrate_database.direct": {"revision": HEAD},
    "notify_customer.due": EVERY_RECORD_HANDLED,
    "process_payment.due": EVERY_RECORD_HANDLED,
    "process_payment.unknown_version": EVERY_RECORD_HANDLED,
    "record_mail_event.batch": EVERY_RECORD_HANDLED,
    "record_mail_event.bounced": EVERY_RECORD_HANDLED,
    "record_mail_event.complained": EVERY_RECORD_HANDLED,
}
COUNTS = {
    "clean_up.audit",
    "clean_up.invariants",
    "clean_up.retention",
    "poll_outbox.every_minute",
}
NO_STACK = {
    "migrate_database.create",
    "migrate_database.delete",
    "migrate_database.update",
    "rehearse_release.before_traffic",
}
