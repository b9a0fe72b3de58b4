"""Operations that charges and bookings share. Everything made is remembered, to be undone."""

import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Barrier
from typing import Any, ClassVar

from tools.conformance.api import ATTEMPTS, Answer, Api, Row, UnreachableError
from tools.conformance.inputs import Inputs
from tools.conformance.verdicts import BrokenError, NotObservableError, require

_PAUSES_S = (0, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)  # between two listings; then the last one
AT_ONCE = 4


@dataclass(slots=True)
class Watched:
    """A row whose status should stay: those that it may still have."""

    reference: str
    allowed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class First:
    """A request whose key is known to act once, to be repeated at the end of the run."""

    reference: str
    key: str
    row_id: str
    made_at: float  # on the monotonic clock, in seconds


class Orders(ABC):
    """Charges or bookings of one provider."""

    provider: ClassVar[str]
    noun: ClassVar[str]
    path: ClassVar[str]
    id_name: ClassVar[str]
    taken: ClassVar[str]  # the status of a success
    options: ClassVar[str]  # the options of a request for a success
    refused: ClassVar[str]  # the status of a refusal
    stays: ClassVar[Mapping[str, tuple[str, ...]]]  # final statuses, with those that may follow
    members: ClassVar[tuple[str, ...]]  # texts that each row has
    terms: ClassVar[tuple[str, ...]]  # members that never change

    def __init__(self, api: Api, inputs: Inputs) -> None:
        self.api = api
        self.inputs = inputs
        self.began = time.monotonic()
        self.references: dict[str, int | None] = {}  # with the number of rows that it may have
        self.asked: dict[str, Row] = {}  # the first request under each reference
        self.answered: dict[str, Row] = {}  # rows by id; before the end those that answers gave
        self.first_terms: dict[str, Row] = {}  # as first shown, by id in lower case
        self.changes: list[str] = []  # of terms
        self.watched: dict[str, Watched] = {}
        self.first: First | None = None
        self._run = uuid.uuid4().hex[:12]

    @abstractmethod
    def body(self, reference: str, **changes: Any) -> Row:
        """Return a request for a success, with `changes`."""

    @property
    @abstractmethod
    def another(self) -> Row:
        """The change that makes a request another one."""

    @property
    @abstractmethod
    def refusable(self) -> Row:
        """The change that makes the provider refuse, in its sandbox."""

    @property
    @abstractmethod
    def failing(self) -> Row:
        """The change that makes the provider fail at first, in its sandbox."""

    @abstractmethod
    def unknown(self, made_up_id: str) -> Iterator[Answer]:
        """Ask for everything that can be asked about one id."""

    @abstractmethod
    def alter(self, row: Row) -> None:
        """Refund a part of a payment, or cancel a booking."""

    @abstractmethod
    def undo_one(self, row: Row) -> str | None:
        """Undo one row; return what is left of it."""

    def new_reference(self, *, at_most: int | None = 1, after: str = "") -> str:
        """Return a reference of this run, in both cases. `at_most` rows may exist under it.

        It begins as the one that it comes `after`.
        """
        reference = f"{after or f'Kit-{self._run}'}-{len(self.references)}"
        self.references[reference] = at_most
        return reference

    def new_key(self) -> str:
        return f"kit:{uuid.uuid4()}"

    def post(
        self, reference: str, key: str | None, *, attempts: int = ATTEMPTS, **changes: Any
    ) -> Answer:
        """Send one charge or booking, and remember its row."""
        body = self.body(reference, **changes)
        self.asked.setdefault(reference, body)
        answer = self.api.ask("POST", self.path, key=key, body=body, attempts=attempts)
        if answer.ok and has_texts(answer.body, self.members):
            self.remember(answer.body)
        return answer

    def remember(self, row: Row) -> None:
        """Keep a row that an answer showed, to be undone."""
        self.answered.setdefault(row[self.id_name], row)
        self.note(row)

    def note(self, row: Row) -> None:
        """Compare the terms of a row with those that were shown first."""
        first = self.first_terms.setdefault(row[self.id_name].lower(), {})
        for name in self.terms:
            value = row.get(name)
            if value is not None and first.setdefault(name, value) != value:
                self.changes.append(f"{name} was {_shown(first[name])}, is {_shown(value)}")

    def make(self, reference: str | None = None, key: str | None = None, **changes: Any) -> Row:
        """Make one charge or booking.

        Raises:
            BrokenError: the answer shows none of this reference.
        """
        reference = reference or self.new_reference()
        answer = self.post(reference, key or self.new_key(), **changes)
        row = self.shown(answer, reference)
        self.watch(row)
        return row

    def shown(self, answer: Answer, reference: str) -> Row:
        """Return the row of an answer. Nothing is done to a row of another reference.

        Raises:
            BrokenError: the answer shows none of this reference.
        """
        row = answer.row(*self.members)
        foreign = f"{answer.request} is answered with another reference"
        require(row["reference"] == reference, f"{foreign}: {row['reference']}, not {reference}")
        return row

    def make_taken(self) -> Row:
        """Make one, and wait until it is taken.

        Raises:
            NotObservableError: it was not.
        """
        made = self.make()
        row = self.wait_for(made, lambda status: status != "pending")
        if row["status"] != self.taken:
            raise NotObservableError(f"the {self.noun} is {row['status']}, not {self.taken}")
        return row

    def wait_for(self, made: Row, wanted: Callable[[str], bool]) -> Row:
        """Return the row as soon as its status is `wanted`, or as it is when patience ends."""
        row, looks = made, self.looks()
        while not wanted(row["status"]) and next(looks, None) is not None:
            found = [r for r in self.look(made["reference"]) if self.same(r, made)]
            row = found[0] if found else row
        return row

    def watch(self, row: Row) -> None:
        """Expect at the end of the run that a final status has stayed."""
        if allowed := self.stays.get(row["status"]):
            self.watched[row[self.id_name]] = Watched(row["reference"], allowed)

    def same(self, one: Row, other: Row) -> bool:
        """Return whether both have the same id, in whatever case."""
        return str(one[self.id_name]).lower() == str(other[self.id_name]).lower()

    def look(self, reference: str) -> list[Row]:
        """List once. A 404 counts as empty here: one promise of its own is about it."""
        answer = self.api.ask("GET", self.path, query={"reference": reference})
        if answer.status == 404:
            return []
        rows = rows_of(answer, self.path.strip("/"), self.members)
        for row in rows:
            self.note(row)
        return rows

    def listed(
        self, reference: str, *, at_least: int = 1, within_s: float | None = None
    ) -> list[Row]:
        """List, again while there are too few and patience lasts, at most `within_s`."""
        rows: list[Row] = []
        for _ in self.looks(within_s):
            rows = self.look(reference)
            if len(rows) >= at_least:
                break
        return rows

    def require_one(self, reference: str, ids: set[str]) -> None:
        """
        Raises:
            BrokenError: two ids in answers, or two rows.
            NotObservableError: no row is listed, or it is a refusal, which could not act twice.
        """
        rows = self.listed(reference)
        if len(rows) > 1:
            self.references[reference] = None  # known now: no news at the end
        require(len(rows) <= 1, f"{len(rows)} {self.noun}s are listed, one was asked for")
        require(len(ids) == 1, f"the answers show {len(ids)} {self.noun}s")
        if not rows:
            raise NotObservableError("no listing shows it")
        if rows[0]["status"] == self.refused:
            raise NotObservableError(f"the {self.noun} is {self.refused}: {self.options}")

    def require_nothing(self, reference: str) -> None:
        """
        Raises:
            BrokenError: something was done under that reference.
        """
        rows = self.look(reference)
        require(not rows, f"it was refused, and {len(rows)} {self.noun}(s) made")

    def at_once(self, ask: Callable[[int], Answer]) -> list[Answer]:
        """Call from several threads at the same moment."""
        start = Barrier(AT_ONCE)

        def one(number: int) -> Answer:
            start.wait()
            return ask(number)

        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(one, range(AT_ONCE)))

    def undo(self) -> list[str]:
        """Undo everything; return a line for each thing that could not be undone.

        A row under a reference that is not of this run is left alone: it may be another client's.
        """
        left: list[str] = []
        try:
            for reference in self.references:
                with _noting(left, f"all under {reference}"):
                    self._update(self.look(reference))
            for row_id, row in self.answered.items():
                with _noting(left, f"{self.noun} {row_id}"):
                    ours = row["reference"] in self.references
                    if remains := self.undo_one(row) if ours else "its reference is not ours":
                        left.append(f"{self.noun} {row_id}: {remains}")
        except UnreachableError as error:
            left.append(self.all_of_run(str(error)))
        return left

    def _update(self, listed: list[Row]) -> None:
        """Take the listed state of each row. An id listed in another case is no row of its own."""
        ids = {row[self.id_name] for row in listed}
        answered = {row_id.lower(): row_id for row_id in self.answered if row_id not in ids}
        for row in listed:
            row_id: str = row[self.id_name]
            if row_id not in self.answered:
                row_id = answered.get(row_id.lower(), row_id)
            self.answered[row_id] = row | {self.id_name: row_id}

    def all_of_run(self, problem: str) -> str:
        """Return the line for a run of which anything may be left."""
        first, *others = self.references
        return f"all under {first} and the next {len(others)}: {problem}"

    def looks(self, within_s: float | None = None) -> Iterator[int]:
        """Count listings until patience ends, with a pause before each."""
        patience_s = self.api.patience_s if within_s is None else min(within_s, self.api.patience_s)
        until, number = time.monotonic() + patience_s, 0
        while number == 0 or time.monotonic() < until:
            time.sleep(_PAUSES_S[min(number, len(_PAUSES_S) - 1)])
            yield number
            number += 1


def rows_of(answer: Answer, name: str, members: tuple[str, ...]) -> list[Row]:
    """Return the rows of a listing.

    Raises:
        BrokenError: it is no listing, or a row lacks one of the texts.
    """
    rows = answer.row(name)[name]
    if not isinstance(rows, list) or not all(has_texts(row, members) for row in rows):
        raise BrokenError(f"{answer.request} lists rows that cannot be read")
    return rows


def has_texts(row: Any, members: tuple[str, ...]) -> bool:
    return isinstance(row, dict) and all(isinstance(row.get(name), str) for name in members)


def _shown(value: Any) -> str:
    return " ".join(map(str, value.values())) if isinstance(value, dict) else str(value)


@contextmanager
def _noting(left: list[str], what: str) -> Iterator[None]:
    try:
        yield
    except BrokenError as error:
        left.append(f"{what}: {error}")
