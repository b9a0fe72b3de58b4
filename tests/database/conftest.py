"""Every test here runs on both engines."""

from collections.abc import Iterator

import pytest

from local.database import Engine
from reservations.adapters.mysql.engine import Database
from tests.worlds.databases import ENGINES, Connect, SchemaOf, connections_to


@pytest.fixture(params=[pytest.param(engine, marks=pytest.mark.mysql) for engine in ENGINES])
def engine_name(request: pytest.FixtureRequest) -> Engine:
    name: Engine = request.param
    return name


@pytest.fixture
def url(engine_name: Engine, schema_of: SchemaOf) -> str:
    return schema_of(engine_name)


@pytest.fixture
def connect(url: str) -> Iterator[Connect]:
    with connections_to(url) as connect:
        yield connect


@pytest.fixture
def database(connect: Connect) -> Database:
    return connect()
