"""Yardstick: the same creation as a team would write it from the tutorials.

Validation in the resolver, SQLModel sessions with a pool that pings, Powertools' stock idempotency with a record of its
own: three commits.
"""

from datetime import UTC, date, datetime
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyItemAlreadyExistsError,
    IdempotencyItemNotFoundError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from reservations.adapters.mysql.address import connector
from reservations.adapters.mysql.tables import (
    CustomerRow,
    HistoryRow,
    IdempotencyRow,
    OutboxRow,
    ReservationRow,
)
from reservations.domain.identifiers import uuid7
from reservations.entrypoints.observability import Handler
from tools.bench.floors import a_code
from tools.bench.product import Tally

_CLIENT = "conventional"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Customer(_Strict):
    full_name: str = Field(min_length=1, max_length=120)
    email: str = Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
    phone: str | None = Field(default=None, pattern=r"^\+[0-9]{7,15}$")


class _Offer(_Strict):
    offer_id: str = Field(max_length=64)
    description: str = Field(max_length=200)
    starts_on: date
    ends_on: date
    guests: int = Field(ge=1, le=20)


class _Price(_Strict):
    amount: str = Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,3})?$")
    currency: str = Field(pattern=r"^[A-Z]{3}$")


class Body(_Strict):
    customer: _Customer
    offer: _Offer
    price: _Price
    payment_token: str = Field(max_length=64)


class _Records(BasePersistenceLayer):
    """Powertools' record in a table, each change in a session of its own."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._engine = engine

    @staticmethod
    def _key(name: str) -> tuple[str, str, str]:
        return _CLIENT, "conventional", name[-200:]

    def _get_record(self, idempotency_key: str) -> DataRecord:
        with Session(self._engine) as session:
            row = session.get(IdempotencyRow, self._key(idempotency_key))
            if row is None:
                raise IdempotencyItemNotFoundError
            return DataRecord(
                idempotency_key,
                "COMPLETED",
                response_data=row.response or "",
                payload_hash=row.fingerprint,
            )

    def _put_record(self, data_record: DataRecord) -> None:
        client, operation, key = self._key(data_record.idempotency_key)
        try:
            with Session(self._engine) as session:
                session.add(
                    IdempotencyRow(
                        client_id=client,
                        operation=operation,
                        idempotency_key=key,
                        fingerprint=data_record.payload_hash,
                        expires_at=datetime.now(UTC),
                    )
                )
                session.commit()
        except IntegrityError as error:
            raise IdempotencyItemAlreadyExistsError from error

    def _update_record(self, data_record: DataRecord) -> None:
        with Session(self._engine) as session:
            row = session.get(IdempotencyRow, self._key(data_record.idempotency_key))
            assert row is not None
            row.response = data_record.response_data
            session.add(row)
            session.commit()

    def _delete_record(self, data_record: DataRecord) -> None:
        raise NotImplementedError("the bench has no failing creation")


def _store(engine: Engine, command: Body) -> dict[str, Any]:
    at, offer = datetime.now(UTC), command.offer
    with Session(engine) as session:
        row = ReservationRow(
            id=uuid7(at),
            code=a_code(),
            client_id=_CLIENT,
            token_kid="k1",
            price_minor=34250,
            currency=command.price.currency,
            state="CREATED",
            settled=False,
            review="",
            next_check_at=at,
            version=1,
            created_at=at,
            updated_at=at,
            contradictions=0,
            quoted=False,
            **offer.model_dump(),
        )
        session.add(row)
        session.flush()
        token = command.payment_token
        customer = command.customer.model_dump()
        session.add(
            CustomerRow(reservation_id=row.id, payment_token=token, language="es", **customer)
        )
        session.add(
            HistoryRow(reservation_id=row.id, event="reservation.accepted", at=at, actor="system")
        )
        session.add(
            OutboxRow(
                message_id=uuid7(at),
                queue="payment",
                status="pending",
                available_at=at,
                refusals=0,
                reservation_id=row.id,
                type="payment.due",
                occurred_at=at,
            )
        )
        session.commit()
        session.refresh(row)
        return _answer(row, command)


def _answer(row: ReservationRow, command: Body) -> dict[str, Any]:
    me = f"https://api.example.com/live/v1/reservations/{row.code}"
    return {
        "reservation_code": row.code,
        "status": "EN PROCESO",
        "progress": {"code": "done", "payment": "pending", "supplier": "pending"},
        "offer": command.offer.model_dump(mode="json"),
        "price": command.price.model_dump(),
        "created_at": row.created_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
        "version": row.version,
        "_links": {"self": me, "timeline": f"{me}/timeline", "cancel": f"{me}/cancel"},
    }


def make_handler(database_url: str, tally: Tally) -> Handler:
    connect = tally.counting(connector(database_url))
    engine = create_engine("mysql+pymysql://", creator=connect, pool_pre_ping=True)
    logger = Logger(service="conventional")
    config = IdempotencyConfig(
        event_key_jmespath="[client_id, key]",
        payload_validation_jmespath="body",
        raise_on_no_idempotency_key=True,
        hash_function="sha256",
    )
    app = APIGatewayRestResolver(enable_validation=True)

    @idempotent_function(  # type: ignore[untyped-decorator]
        data_keyword_argument="request",
        persistence_store=_Records(engine),
        config=config,
        key_prefix="conventional",
    )
    def create(*, request: dict[str, Any], command: Body) -> dict[str, Any]:
        return _store(engine, command)

    @app.post("/v1/reservations")
    def post(command: Body) -> Response[dict[str, Any]]:
        key = app.current_event.headers["Idempotency-Key"]
        request = {"client_id": _CLIENT, "key": key, "body": command.model_dump(mode="json")}
        body = create(request=request, command=command)
        location = {"Location": body["_links"]["self"]}
        return Response(202, "application/json", body, headers=location)

    @logger.inject_lambda_context
    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        config.register_lambda_context(context)
        answer = app.resolve(event, context)
        logger.info("reservation accepted", extra={"status": answer["statusCode"]})
        return answer

    return handle
