"""The catalogue of problems, and the table from our errors to it."""

from collections.abc import Iterator

import pytest

from reservations.domain.errors import (
    DatabaseUnavailableError,
    DefectError,
    RefusedError,
    ReservationsError,
    UnavailableError,
)
from reservations.domain.reservation import Language
from reservations.entrypoints.problems import (
    CATALOGUE,
    PROBLEM_OF,
    Problem,
    ProblemError,
    problem_of,
)
from reservations.texts.compiled import PROBLEMS

DETAIL_CHARACTERS = 240
every_problem = pytest.mark.parametrize("problem", CATALOGUE.values(), ids=CATALOGUE)


def leaves(error: type[ReservationsError]) -> Iterator[type[ReservationsError]]:
    kinds = error.__subclasses__()
    if not kinds:
        yield error
    for kind in kinds:
        yield from leaves(kind)


def test_every_error_of_ours_has_its_problem() -> None:
    assert set(PROBLEM_OF) == set(leaves(ReservationsError))
    assert set(PROBLEM_OF.values()) <= set(CATALOGUE)


def test_an_unavailable_error_is_a_retryable_409_or_503() -> None:
    for error in leaves(UnavailableError):
        problem = CATALOGUE[PROBLEM_OF[error]]
        assert problem.retryable, error
        assert problem.status in (409, 503), error


def test_a_refusal_is_the_request_s_fault_and_a_defect_is_not() -> None:
    assert {CATALOGUE[PROBLEM_OF[error]].status // 100 for error in leaves(RefusedError)} == {4}
    assert {PROBLEM_OF[error] for error in leaves(DefectError)} == {"service_unavailable"}


def test_every_problem_has_texts_and_no_text_is_idle() -> None:
    for problems in PROBLEMS.values():
        assert problems.keys() == CATALOGUE.keys()
        assert all(texts.keys() == {"title", "detail"} for texts in problems.values())


@every_problem
def test_a_problem_is_described_in_both_languages_within_bounds(problem: Problem) -> None:
    for text in (problem.title, problem.detail):
        assert text(Language.SPANISH) != text(Language.ENGLISH)
        for language in Language:
            spoken = text(language)
            assert 0 < len(spoken) <= DETAIL_CHARACTERS
            assert spoken == spoken.strip()


@every_problem
def test_the_bilingual_detail_of_the_gateway_is_within_bounds(problem: Problem) -> None:
    assert len(" / ".join(map(problem.detail, Language))) <= DETAIL_CHARACTERS


@every_problem
def test_exactly_the_transient_problems_are_retryable(problem: Problem) -> None:
    lasting = problem.code in ("not_cancellable", "payment_in_progress")
    transient = problem.status in (409, 429, 503) and not lasting
    assert problem.retryable == transient


def test_no_problem_is_an_internal_server_error() -> None:
    assert {problem.status for problem in CATALOGUE.values()}.isdisjoint({500, 502, 504})


def test_no_two_problems_share_a_text() -> None:
    problems = CATALOGUE.values()
    assert len({problem.type for problem in problems}) == len(CATALOGUE)
    for language in Language:
        assert len({problem.title(language) for problem in problems}) == len(CATALOGUE)
        assert len({problem.detail(language) for problem in problems}) == len(CATALOGUE)


def test_a_commit_of_unknown_fate_has_an_unknown_effect() -> None:
    known = problem_of(DatabaseUnavailableError("gone"))
    unknown = problem_of(DatabaseUnavailableError("gone", effect_unknown=True))

    assert (known.code, known.effect) == ("service_unavailable", "none")
    assert (unknown.code, unknown.effect) == ("gateway_timeout", "unknown")


def test_a_problem_that_is_not_in_the_catalogue_cannot_be_raised() -> None:
    with pytest.raises(KeyError):
        ProblemError("teapot")
