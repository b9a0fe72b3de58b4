"""Fixtures of the second stack, from the description that `make test-second` names in STACK_FILE."""

from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from local.paths import STACK_FILE, read_json
from tests.e2e.backstage import Backstage
from tests.e2e.travel import Json, api_client


@pytest.fixture(scope="session")
def stack() -> Json:
    description = read_json(STACK_FILE)
    if not description:
        pytest.fail("The second stack is not up: run `make test-second`.")
    return description


@pytest.fixture
def api(stack: Json) -> Iterator[httpx.Client]:
    """The partner, who needs no quote. Each answer is checked against the contract."""
    with api_client(stack, "partner") as client:
        yield client


@pytest.fixture
def backstage(stack: Json) -> Iterator[Backstage]:
    with closing(Backstage(stack)) as side:
        yield side
