"""The owner of a reservation, for the queries behind the door."""

from typing import Protocol, TypedDict

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from reservations import config
from reservations.application.ports import UnitOfWork
from reservations.application.read_reservation import Reader
from reservations.domain.access_token import KeyRing
from reservations.entrypoints import http


class Keeper(Protocol):
    """The part of the composition root that knows clients, keys and the database."""

    def api_settings(self) -> config.ApiSettings: ...
    def key_ring(self) -> KeyRing: ...
    def unit_of_work(self) -> UnitOfWork: ...


class Access(TypedDict):
    """The arguments of every query of an owner."""

    reader: Reader
    uow: UnitOfWork
    keys: KeyRing


def access_of(event: APIGatewayProxyEvent, services: Keeper) -> Access:
    """
    Raises:
        ProblemError: see `http.reader`.
    """
    clients = services.api_settings().api_clients
    return {
        "reader": http.reader(event, clients),
        "uow": services.unit_of_work(),
        "keys": services.key_ring(),
    }
