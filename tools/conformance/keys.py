"""Promises of both providers about keys, credentials and repetitions."""

import time
import uuid

from tools.conformance.api import Answer
from tools.conformance.orders import AT_ONCE, First, Orders
from tools.conformance.verdicts import BrokenError, NotObservableError, Promise, require

_REPEATS = 3
_LOST_S = 10  # until a request whose caller hung up is repeated, listed or not
_ATTEMPTS = 5  # until an input that fails at first must succeed


def credentials(orders: Orders) -> str:
    for bearer in (None, f"wrong-{uuid.uuid4().hex}"):
        reference = orders.new_reference()
        body, key = orders.body(reference), orders.new_key()
        for answer in (
            orders.api.ask("GET", orders.path, query={"reference": reference}, bearer=bearer),
            orders.api.ask("POST", orders.path, key=key, body=body, bearer=bearer),
        ):
            answer.refused(401)
        orders.require_nothing(reference)
    return "401 without a key and with a wrong one"


def key_required(orders: Orders) -> str:
    reference = orders.new_reference()
    orders.post(reference, None).refused(400)
    orders.require_nothing(reference)
    return "400, and nothing made"


def reference_required(orders: Orders) -> str:
    orders.api.ask("GET", orders.path).refused(400)
    return "400"


def json_required(orders: Orders) -> str:
    reference = orders.new_reference()
    content = b'{"reference": "' + reference.encode() + b'"'
    orders.api.ask("POST", orders.path, key=orders.new_key(), content=content).refused(400)
    orders.require_nothing(reference)
    return "400, and nothing made"


def same_key_in_turn(orders: Orders) -> str:
    reference, key = orders.new_reference(), orders.new_key()
    rows = [orders.make(reference, key) for _ in range(_REPEATS)]
    orders.require_one(reference, {row[orders.id_name] for row in rows})
    orders.first = First(reference, key, rows[0][orders.id_name], time.monotonic())
    return f"{_REPEATS} requests, one {orders.noun}"


def same_key_at_once(orders: Orders) -> str:
    reference, key = orders.new_reference(), orders.new_key()
    answers = orders.at_once(lambda _: orders.post(reference, key))
    ids = {answer.row(orders.id_name)[orders.id_name] for answer in answers}
    orders.require_one(reference, ids)
    return f"{AT_ONCE} requests at once, one {orders.noun}"


def same_key_after_silence(orders: Orders) -> str:
    reference, key = orders.new_reference(), orders.new_key()
    orders.api.abandon(orders.path, key=key, body=orders.body(reference))
    lost = orders.listed(reference, within_s=_LOST_S)
    repeated = orders.make(reference, key)
    orders.require_one(reference, {repeated[orders.id_name]})
    heard = "had acted" if lost else "had not acted"
    return f"it {heard} when the caller hung up; one {orders.noun} after the repetition"


def same_key_other_body(orders: Orders) -> str:
    reference, key = orders.new_reference(), orders.new_key()
    made = orders.make(reference, key)
    orders.post(reference, key, **orders.another).refused(422)
    orders.require_one(reference, {made[orders.id_name]})
    elsewhere = orders.new_reference()
    orders.post(elsewhere, key).refused(422)
    orders.require_nothing(elsewhere)
    return "422, and nothing made"


def failure_not_kept(orders: Orders) -> str:
    provoked = _provoked(orders)
    statuses, made = [answer.status for answer, _ in provoked], provoked[-1][1]
    shown = ", ".join(map(str, statuses))
    if statuses[0] < 500:
        raise NotObservableError(f"nothing failed: {shown}")
    require(statuses[-1] < 300, f"one key got {shown}")
    require(made <= 1, f"one key got {shown}, and made {made} {orders.noun}s")
    return f"one key got {shown}, and made one {orders.noun}"


def postponed_did_nothing(orders: Orders) -> str:
    postponed = [count for answer, count in _provoked(orders) if answer.postponed]
    if not postponed:
        raise NotObservableError("no 429, and no 503 with Retry-After, came")
    require(not any(postponed), f"it promised nothing was done, and made a {orders.noun}")
    return f"{len(postponed)} postponed, nothing made"


def key_kept_a_day(orders: Orders) -> str:
    """Repeat the first request of the run. A key that is forgotten so soon is not kept for a day."""
    if orders.first is None:
        same_key_in_turn(orders)
        time.sleep(orders.inputs.rest)
    first = orders.first
    assert first
    seconds = time.monotonic() - first.made_at
    repeated = orders.post(first.reference, first.key).row(orders.id_name)[orders.id_name]
    require(repeated == first.row_id, f"{seconds:.0f} s later, the key made another {orders.noun}")
    raise NotObservableError(f"kept for {seconds:.0f} s; --rest waits longer")


def _provoked(orders: Orders) -> list[tuple[Answer, int]]:
    """Repeat a request that fails at first. Return each answer with the number of rows listed after it.

    Raises:
        NotObservableError: no answer came.
    """
    reference, key, seen = orders.new_reference(), orders.new_key(), []
    for _ in range(_ATTEMPTS):
        try:
            answer = orders.post(reference, key, attempts=1, **orders.failing)
        except BrokenError as silence:
            raise NotObservableError(str(silence)) from None
        seen.append((answer, len(orders.look(reference))))
        if answer.status < 429:
            break
    return seen


KEPT = Promise(
    "key_kept_a_day",
    "A key is kept for at least 24 hours.",
    "A retry after an outage makes a second {noun}.",
    key_kept_a_day,
)

PROMISES = (
    Promise(
        "credentials",
        "401 without our key and with a wrong one.",
        "Strangers act in our name.",
        credentials,
    ),
    Promise(
        "key_required",
        "400 without Idempotency-Key.",
        "A defect of ours could act twice.",
        key_required,
    ),
    Promise(
        "reference_required",
        "400 for a listing without a reference.",
        "We read the rows of other clients.",
        reference_required,
    ),
    Promise(
        "json_required", "400 for a body that is no JSON.", "A torn request acts.", json_required
    ),
    Promise(
        "same_key_in_turn",
        "The same key acts once, in turn.",
        "A retry makes a second {noun}.",
        same_key_in_turn,
    ),
    Promise(
        "same_key_at_once",
        "The same key acts once, at once.",
        "Two workers make two {noun}s.",
        same_key_at_once,
    ),
    Promise(
        "same_key_after_silence",
        "The same key acts once, after a lost answer.",
        "Every timeout may make a second {noun}.",
        same_key_after_silence,
    ),
    Promise(
        "same_key_other_body",
        "422 for the same key with another body; nothing is done.",
        "A {noun} of another sum or trip passes for ours.",
        same_key_other_body,
    ),
    Promise(
        "failure_not_kept",
        "A 5xx is not kept: the next request is a real attempt, and the key still acts once.",
        "A failure blocks a reservation for ever, or makes a second {noun}.",
        failure_not_kept,
    ),
    Promise(
        "postponed_did_nothing",
        "429, or 503 with Retry-After: nothing was done.",
        "A {noun} exists that we send again.",
        postponed_did_nothing,
    ),
)
