"""Promises of both providers about listings, ids and statuses."""

import time
import uuid

from tools.conformance.orders import Orders
from tools.conformance.verdicts import BrokenError, NotObservableError, Promise, require


def all_listed(orders: Orders) -> str:
    many, reference = orders.inputs.many, orders.new_reference(at_most=None)
    for number in range(many):
        answer = orders.post(reference, orders.new_key())
        if number and answer.status in (409, 422):
            raise NotObservableError(f"a second {orders.noun} of a reference is {answer.status}")
        answer.row(orders.id_name)
    rows = orders.listed(reference, at_least=many)
    require(len(rows) == many, f"{len(rows)} of {many} are listed")
    require({row["reference"] for row in rows} == {reference}, "rows of others are listed, too")
    return f"{many} in one page"


def soon_listed(orders: Orders) -> str:
    made = orders.make()
    answered = time.monotonic()
    looks = 0
    while time.monotonic() - answered <= orders.api.patience_s or not looks:
        looks += 1
        if orders.look(made["reference"]):
            waited_ms = (time.monotonic() - answered) * 1000
            return f"in look {looks}, {waited_ms:.0f} ms after the answer"
        time.sleep(min(2, 0.05 * looks))
    raise BrokenError(f"not listed {orders.api.patience_s:g} s after the answer")


def empty_listing(orders: Orders) -> str:
    answer = orders.api.ask("GET", orders.path, query={"reference": orders.new_reference()})
    answer.refused(200)
    name = orders.path.strip("/")
    require(answer.row(name)[name] == [], "the listing of an unused reference is not empty")
    return "200 and an empty list"


def only_ours(orders: Orders) -> str:
    reference = orders.new_reference()
    for one in (reference, orders.new_reference(after=reference)):
        orders.make(one)
    rows = orders.listed(reference)
    if not rows:
        raise NotObservableError("no listing shows it")
    others = sum(row["reference"] != reference for row in rows)
    if others:
        orders.references[reference] = None  # known now: no news at the end
    require(not others, f"{others} of {len(rows)} rows have another reference")
    for part in (reference.rpartition("-")[0], reference.partition("-")[2]):
        require(not orders.look(part), "a part of a reference lists rows")
    return "only rows of the reference asked for"


def id_stays(orders: Orders) -> str:
    reference, key = orders.new_reference(), orders.new_key()
    rows = [orders.make(reference, key), orders.make(reference, key)]
    listed = [*orders.listed(reference), *orders.look(reference)]
    if not listed:
        raise NotObservableError("no listing shows it")
    different = {row[orders.id_name] for row in [*rows, *listed]}
    require(len(different) == 1, f"answer and listing say {' and '.join(sorted(different))}")
    return "the same in answer, repetition and listing"


def exact_case(orders: Orders) -> str:
    reference = orders.new_reference()
    made = orders.make(reference)
    rows = orders.listed(reference)
    if not rows:
        raise NotObservableError("no listing shows it")
    for row in (made, *(row for row in rows if orders.same(row, made))):
        require(row["reference"] == reference, "the reference changes")
        require(row[orders.id_name] == made[orders.id_name], "the case of the id changes")
    others = orders.look(reference.swapcase())
    require(not others, "a reference in the other case is taken for the same")
    key, elsewhere = orders.new_key(), orders.new_reference()
    first = orders.make(key=key)
    answer = orders.post(elsewhere, key.swapcase())
    apart = answer.ok and answer.row(orders.id_name)[orders.id_name] != first[orders.id_name]
    require(apart, f"a key in the other case is taken for the same: {answer.said}")
    return "ids, references and keys keep their case"


def extra_members(orders: Orders) -> str:
    reference = orders.new_reference()
    answer = orders.post(reference, orders.new_key(), conformance_kit="an unknown member")
    if answer.ok:
        answer.row(orders.id_name)
        return f"ignored: {answer.status}"
    answer.refused(400, 422)
    orders.require_nothing(reference)
    return f"refused: {answer.status}, and nothing made"


def unknown_id(orders: Orders) -> str:
    for answer in orders.unknown(f"kit-no-such-{uuid.uuid4().hex}"):
        answer.refused(404)
    return "404"


def refused_in_2xx(orders: Orders) -> str:
    reference, key = orders.new_reference(), orders.new_key()
    row = orders.make(reference, key, **orders.refusable)
    if row["status"] != orders.refused:
        raise NotObservableError(f"this input is {row['status']}, not {orders.refused}")
    again = orders.make(reference, key, **orders.refusable)
    for later in (again, *orders.listed(reference)):
        require(later["status"] == orders.refused, f"then it is {later['status']}")
    return f"201 with status {orders.refused}"


def final_stays(orders: Orders) -> str:
    time.sleep(orders.inputs.rest)
    listed: dict[str, dict[str, str]] = {}
    for reference in {watched.reference for watched in orders.watched.values()}:
        rows = orders.look(reference)
        at_most = orders.references.get(reference)
        require(
            at_most is None or len(rows) <= at_most, f"{len(rows)} {orders.noun}s, one was expected"
        )
        listed[reference] = {row[orders.id_name].lower(): row["status"] for row in rows}
    missing: list[str] = []
    for row_id, watched in orders.watched.items():
        status = listed[watched.reference].get(row_id.lower())
        missing += [row_id] if status is None else []
        require(
            status is None or status in watched.allowed,
            f"{row_id} was {watched.allowed[0]}, is {status}",
        )
    seconds = time.monotonic() - orders.began
    count = f"{len(missing)} of {len(orders.watched)} {orders.noun}s"
    require(not missing, f"{count} are listed no more: {', '.join(missing[:3])}")
    return f"{len(orders.watched)} {orders.noun}s, up to {seconds:.0f} s later"


def terms_stay(orders: Orders) -> str:
    made = orders.make_taken()
    orders.alter(made)
    orders.look(made["reference"])
    count = f"{len(orders.first_terms)} {orders.noun}s"
    changed = "; ".join(dict.fromkeys(orders.changes))
    require(not changed, f"{changed} ({len(orders.changes)}×)")
    return f"{count}, also after a refund or a cancellation"


def as_declared(orders: Orders) -> str:
    deviations = orders.api.deviations
    worst = "; ".join(f"{name} ({count}×)" for name, count in deviations.most_common(3))
    count, total = sum(deviations.values()), orders.api.requests
    require(not deviations, f"{count} of {total} answers differ: {worst}")
    repeated = orders.api.failures
    return f"{total} answers" + (f", {repeated} of them 429, 5xx or none" if repeated else "")


def webhooks(_: Orders) -> str:
    raise NotObservableError("nothing here receives them; we inquire without them, only later")


PROMISES = (
    Promise(
        "all_listed",
        "A listing shows all rows of a reference, in one page.",
        "A {noun} stays unseen: paid twice, or never refunded.",
        all_listed,
    ),
    Promise(
        "soon_listed",
        "A new {noun} is listed within five minutes.",
        "We take it for lost, and send it again.",
        soon_listed,
    ),
    Promise(
        "only_ours",
        "Answers and listings show only rows of the reference asked for.",
        "We take another trip's {noun} for ours, and undo it.",
        only_ours,
    ),
    Promise(
        "empty_listing",
        "An unused reference is an empty list, not 404.",
        "A {noun} that never arrived stays unknown: alarm, no retry.",
        empty_listing,
    ),
    Promise(
        "id_stays",
        "An id is the same in every answer and listing.",
        "One {noun} looks like two: we undo the only one.",
        id_stays,
    ),
    Promise(
        "exact_case",
        "Ids, references and keys are compared exactly.",
        "One {noun} looks like two: we undo the only one.",
        exact_case,
    ),
    Promise(
        "extra_members",
        "Unknown members of a request are ignored, or refused with 4xx.",
        "Each new member of ours needs a release of yours.",
        extra_members,
    ),
    Promise("unknown_id", "404 for an unknown id.", "Undoing nothing passes for done.", unknown_id),
    Promise(
        "refused_in_2xx",
        "A refusal is a status in a 2xx, never a 4xx.",
        "A refused {noun} stays unknown: alarm, and the traveler waits.",
        refused_in_2xx,
    ),
)

ENDING = (
    Promise(
        "final_stays",
        "A final status stays, and its row is listed for ever.",
        "We say CONFIRMADA about a {noun} that is gone.",
        final_stays,
    ),
    Promise(
        "terms_stay",
        "Sum, currency, price and dates never change.",
        "A trip is frozen until a person decides.",
        terms_stay,
    ),
    Promise(
        "as_declared",
        "Every answer above is as the contract declares it.",
        "We cannot read it: unknown outcome and alarm.",
        as_declared,
    ),
    Promise(
        "webhooks",
        "A change is announced by a signed webhook.",
        "We learn of a change at our next inquiry.",
        webhooks,
    ),
)
