"""The trials of each function in a rehearsal of a release: an event each, and the answer that it must give."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from reservations.application.rehearse_release import Trial
from reservations.entrypoints.rehearsal import REQUEST, request

_CODE = "22222-22222-2"
_REHEARSED = Trial(event=REQUEST)

# Requests without credentials have no effect, and are refused only after the settings were read.
TRIALS: Mapping[str, Sequence[Trial]] = {
    "get_reservation": (
        Trial(event=request("GET", "/v1/health"), status=HTTPStatus.OK),
        _REHEARSED,
    ),
    "create_reservation": (_REHEARSED,),
    "cancel_reservation": (
        Trial(
            event=request("POST", "/v1/reservations/{code}/cancel", code=_CODE),
            status=HTTPStatus.UNAUTHORIZED,
        ),
        _REHEARSED,
    ),
    "look_up_reservation": (
        Trial(event=request("POST", "/v1/reservations/lookup"), status=HTTPStatus.UNAUTHORIZED),
        _REHEARSED,
    ),
    "receive_webhook": (
        Trial(
            event=request("POST", "/v1/webhooks/{provider}", provider="payments"),
            status=HTTPStatus.UNAUTHORIZED,
        ),
        _REHEARSED,
    ),
    "poll_outbox": (_REHEARSED,),
    "process_payment": (_REHEARSED,),
    "confirm_supplier": (_REHEARSED,),
    "issue_voucher": (_REHEARSED,),
    "notify_customer": (_REHEARSED,),
    "record_mail_event": (_REHEARSED,),
    "clean_up": (_REHEARSED,),
}
