"""All durations of the saga. They are settings, so that tests and small stacks can shorten them."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated


def _minutes(*values: float) -> tuple[timedelta, ...]:
    return tuple(timedelta(minutes=value) for value in values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Durations of the saga, with production's defaults. `make docs` copies the texts into docs/05."""

    ladder: Annotated[
        tuple[timedelta, ...], "esperas entre las consultas de una llamada abierta"
    ] = _minutes(0.5, 1, 2, 5, 10, 20)
    ladder_end: Annotated[timedelta, "espera entre las consultas siguientes"] = timedelta(hours=1)
    unasked_ladder_limit: Annotated[
        int, "peldaño más alto, desde 0, para lo no enviado o no consultado"
    ] = 3
    retry_after_limit: Annotated[
        timedelta, "máximo que se obedece el `Retry-After` de un proveedor"
    ] = timedelta(seconds=300)
    aftercare: Annotated[
        tuple[timedelta, ...],
        "consultas de lo ya cerrado que fue dudoso, desde el cierre o el último webhook",
    ] = _minutes(10, 60, 6 * 60, 24 * 60, 72 * 60)
    one_look: Annotated[timedelta, "consulta de lo ya cerrado que nunca fue dudoso"] = timedelta(
        hours=1
    )
    unanswered_looks: Annotated[
        int, "consultas seguidas sin respuesta tras las que lo cerrado descansa"
    ] = 12
    payment_looks: Annotated[
        tuple[timedelta, ...], "consultas lejanas a pagos, antes de `starts_on`"
    ] = (timedelta(days=1),)
    supplier_looks: Annotated[
        tuple[timedelta, ...], "consultas lejanas al proveedor, antes de `starts_on`"
    ] = (timedelta(days=7), timedelta(days=1))
    looks_spread: Annotated[timedelta, "las consultas lejanas se reparten en este tiempo"] = (
        timedelta(hours=12)
    )
    suspicion: Annotated[
        tuple[timedelta, ...], "consultas propias de una contradicción, desde que se ve"
    ] = _minutes(1, 5, 15, 60)
    absence_believed: Annotated[
        timedelta, "tiempo tras el que se cree que falta un pago o plaza"
    ] = timedelta(minutes=15)
    change_believed: Annotated[
        timedelta, "tiempo tras el que se cree otro estado, fecha o precio"
    ] = timedelta(minutes=5)
    refund_believed: Annotated[
        timedelta, "tiempo tras el que se cree un reembolso ajeno o uno nuestro que falla"
    ] = timedelta(minutes=10)
    dispute_look: Annotated[timedelta, "consulta de una disputa abierta ya decidida"] = timedelta(
        days=7
    )
    dispute_watched: Annotated[timedelta, "tiempo que se consulta tras decidirla"] = timedelta(
        days=120
    )
    sticky_after: Annotated[int, "veces en `sticky_within` tras las que decide una persona"] = 3
    sticky_within: Annotated[timedelta, "plazo en que se cuentan esas veces"] = timedelta(days=7)
    hold: Annotated[timedelta, "retención, desde el último envío del cargo"] = timedelta(minutes=15)
    hold_limit: Annotated[
        timedelta, "retención desde la creación, si ningún cargo llegó a pagos"
    ] = timedelta(hours=2)
    grace: Annotated[timedelta, "gracia tras la retención"] = timedelta(minutes=2)
    book_window: Annotated[
        timedelta, "tiempo que se insiste a un proveedor que no tiene la reserva"
    ] = timedelta(hours=2)
    call_limit: Annotated[
        timedelta, "una llamada no empieza ni acaba más tarde que esto tras escribirse"
    ] = timedelta(minutes=2)
    visibility: Annotated[
        timedelta, "«no existe» solo se cree este tiempo después de acabar la llamada"
    ] = timedelta(minutes=5)
    not_found_gap: Annotated[timedelta, "separación mínima entre dos «no existe» que se creen"] = (
        timedelta(minutes=1)
    )
    deadline: Annotated[
        timedelta, "revisión de una llamada abierta o de una cancelación que no llega"
    ] = timedelta(minutes=30)
    refund_deadline: Annotated[timedelta, "revisión de un reembolso abierto o que no llega"] = (
        timedelta(hours=24)
    )
    hint_grace: Annotated[
        timedelta, "tiempo para enviar un indicio recién guardado, antes de que lo haga el sondeo"
    ] = timedelta(seconds=2)
    hint_lease: Annotated[timedelta, "arriendo de una fila de outbox o de una reserva vencida"] = (
        timedelta(seconds=30)
    )
    hint_lease_limit: Annotated[
        timedelta, "máximo de ese arriendo, que crece con la espera de la reserva"
    ] = timedelta(minutes=5)
    look_lease_limit: Annotated[
        timedelta, "máximo de ese arriendo cuando solo espera una consulta corriente"
    ] = timedelta(hours=1)
    mail_repeat: Annotated[timedelta, "espera antes de repetir un correo sin respuesta"] = (
        timedelta(minutes=10)
    )
    resend_limit: Annotated[timedelta, "espera máxima antes de repetir lo que nunca llega"] = (
        timedelta(days=7)
    )
    reminder: Annotated[
        timedelta, "recordatorio cuando solo una persona puede hacer avanzar la reserva"
    ] = timedelta(hours=24)

    horizon: Annotated[timedelta, "antelación máxima con que empieza un viaje"] = timedelta(
        days=3 * 365 + 1
    )
    longest_stay: Annotated[timedelta, "estancia máxima"] = timedelta(days=365)

    def rung(self, looks: int) -> timedelta:
        """The pause after so many looks. After half a day of the last one it grows, up to a day."""
        beyond = looks - len(self.ladder)
        if beyond < 0:
            return self.ladder[looks]
        return min(self.ladder_end * 2.0 ** min(max(beyond - 12, 0), 10), self.reminder)

    def resend_pause(self, attempts: int) -> timedelta:
        """The pause before a call is sent again: the ladder, then twice as long each time up to a week."""
        beyond = attempts - len(self.ladder)
        if beyond < 0:
            return self.ladder[attempts]
        return min(self.ladder_end * 2.0 ** min(beyond, 10), self.resend_limit)

    def jittered(self, factor: float) -> "Policy":
        """Stretch the ladder, so that calls that failed together do not return together."""
        stretched = tuple(rung * factor for rung in self.ladder)
        return replace(self, ladder=stretched, ladder_end=self.ladder_end * factor)


@dataclass(frozen=True, slots=True)
class Moment:
    """A time of the database's clock, and the policy in force."""

    now: datetime
    policy: Policy


STANDARD = Policy()

SHORT = Policy(
    ladder=tuple(timedelta(seconds=s) for s in (1, 2, 4, 8, 15, 30)),
    ladder_end=timedelta(seconds=60),
    aftercare=(timedelta(seconds=20), *_minutes(1, 2, 5, 10)),
    one_look=timedelta(seconds=20),
    suspicion=tuple(timedelta(seconds=s) for s in (3, 12, 30, 120)),
    absence_believed=timedelta(seconds=30),
    change_believed=timedelta(seconds=10),
    refund_believed=timedelta(seconds=20),
    hold=timedelta(seconds=90),
    hold_limit=timedelta(seconds=60),
    grace=timedelta(seconds=5),
    book_window=timedelta(minutes=5),
    call_limit=timedelta(seconds=8),
    visibility=timedelta(seconds=6),
    not_found_gap=timedelta(seconds=2),
    deadline=timedelta(seconds=90),
    refund_deadline=timedelta(seconds=90),
    hint_grace=timedelta(seconds=1),
    hint_lease=timedelta(seconds=3),
    hint_lease_limit=timedelta(seconds=30),
    look_lease_limit=timedelta(seconds=60),
    mail_repeat=timedelta(seconds=20),
)
