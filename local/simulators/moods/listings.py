"""Moods that break promises about listings and ids."""

from dataclasses import replace

from local.simulators.moods.exchange import LISTS, Act, Asked, Row, about, changed, id_of
from local.simulators.provider import Answer, failure

_PAGE = 10


def hides_rows(asked: Asked, act: Act) -> Answer:
    answer = act(asked)
    rows = {name: answer.body[name][:_PAGE] for name in LISTS if name in answer.body}
    return replace(answer, body={**answer.body, **rows})


class ListsLate:
    """Leave rows made under this mood out of every listing."""

    def __init__(self) -> None:
        self._made: set[str] = set()

    def __call__(self, asked: Asked, act: Act) -> Answer:
        answer = act(asked)
        if asked.orders and answer.status == 201:
            self._made.add(answer.body[id_of(answer.body)])
        if asked.lists:
            return changed(answer, lambda row: None if row[id_of(row)] in self._made else row)
        return answer


class IgnoresReference:
    """List everything that was made under this mood, whatever the reference."""

    def __init__(self) -> None:
        self._references: list[str] = []

    def __call__(self, asked: Asked, act: Act) -> Answer:
        answer = act(asked)
        if asked.orders and answer.status == 201:
            self._references.append(answer.body["reference"])
        if not asked.lists or answer.status != 200:
            return answer
        name = asked.path.strip("/")
        every = {
            row[id_of(row)]: row
            for reference in dict.fromkeys(self._references)
            for row in act(about(asked, reference)).body[name]
        }
        return replace(answer, body={name: list(every.values())})


class MatchesPrefixes:
    """List what was made under this mood and whose reference begins as the one asked for."""

    def __init__(self) -> None:
        self._references: dict[str, None] = {}

    def __call__(self, asked: Asked, act: Act) -> Answer:
        answer = act(asked)
        if asked.orders and answer.status == 201:
            self._references[answer.body["reference"]] = None
        if not asked.lists or answer.status != 200:
            return answer
        name, body = asked.path.strip("/"), dict(answer.body)
        for reference in self._references:
            if reference.startswith(asked.reference) and reference != asked.reference:
                body[name] = [*body[name], *act(about(asked, reference)).body[name]]
        return replace(answer, body=body)


def empty_is_404(asked: Asked, act: Act) -> Answer:
    answer = act(asked)
    if asked.lists and not any(answer.body.values()):
        return failure(404, "not_found", "there is nothing under this reference")
    return answer


def changes_ids(asked: Asked, act: Act) -> Answer:
    """List a row under another id than the answer gave. Both work."""
    answer = act(replace(asked, target=asked.target.replace("listed~", "")))
    if asked.lists:
        return changed(answer, lambda row: row | {id_of(row): f"listed~{row[id_of(row)]}"})
    return answer


def changes_case(asked: Asked, act: Act) -> Answer:
    """List ids in capitals. Both spellings work."""
    answer = act(replace(asked, target=_lower_ids(asked.target)))
    if asked.lists:
        return changed(answer, lambda row: row | {id_of(row): row[id_of(row)].upper()})
    return answer


def _lower_ids(target: str) -> str:
    path, mark, query = target.partition("?")
    return path.lower() + mark + query


class ChangesItsWord:
    """List a declined payment or a rejected booking as taken, from the second listing on."""

    def __init__(self) -> None:
        self._listed: set[str] = set()

    def __call__(self, asked: Asked, act: Act) -> Answer:
        answer = act(asked)
        return changed(answer, self._reversed) if asked.lists else answer

    def _reversed(self, row: Row) -> Row:
        taken = {"declined": "succeeded", "rejected": "confirmed"}.get(row["status"])
        if taken and row[id_of(row)] in self._listed:
            return row | {"status": taken}
        self._listed.add(row[id_of(row)])
        return row


def ignores_case(asked: Asked, act: Act) -> Answer:
    """List what is under the reference in the other case, too."""
    answer = act(asked)
    if asked.lists:
        more = act(about(asked, asked.reference.swapcase())).body
        rows = {name: answer.body[name] + more[name] for name in LISTS if name in answer.body}
        return replace(answer, body={**answer.body, **rows})
    return answer


def needs_no_reference(asked: Asked, act: Act) -> Answer:
    if asked.lists and not asked.reference:
        return act(replace(asked, target=f"{asked.path}?reference=every"))
    return act(asked)


def cancels_with_new_locator(asked: Asked, act: Act) -> Answer:
    """Show a cancelled booking with another locator."""

    def renamed(row: Row) -> Row:
        return row | {"locator": "OTHER"} if row.get("status") == "cancelled" else row

    return changed(act(asked), renamed)


def changes_locators(asked: Asked, act: Act) -> Answer:
    answer = act(asked)
    return changed(answer, lambda row: row | {"locator": "OTHER"}) if asked.lists else answer
