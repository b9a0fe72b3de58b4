"""Throughput and monthly cost of each size, by Little's law and by list prices. Nothing here was measured on AWS.

Places of a queue divided by the seconds that a reservation keeps them is its rate. The slowest part is the bottleneck.
Our own seconds follow from `MEASURED`, and those of others are `Assumed`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from local.paths import ROOT
from local.template import SIZES, template

MONTH_S = 30 * 24 * 60 * 60
GB = 0.5  # memory of a function
REQUIRED = 50  # reservations a second, RNF-03
SMALLEST_ACCOUNT = 10  # places of a new account, shared by all functions


@dataclass(frozen=True, slots=True)
class Step:
    """A step of ours: its CPU and its round trips to the database."""

    cpu_ms: float
    trips: int


_NAMES = {
    "crear": "create",
    "pago": "payment",
    "proveedor": "supplier",
    "bono": "voucher",
    "correo": "mail",
    "webhook": "webhook",
}


def measured(text: str) -> dict[str, Step]:
    """CPU and trips of each step, from the tables that `make bench` writes into docs/08."""
    journey = text.partition("**Un recorrido, paso a paso**")[2].partition("**El bono**")[0]
    requests = text.partition("**Otras peticiones**")[2].partition("**Un recorrido")[0]
    rows = re.findall(
        r"^\| (\w+) \| [^|]+ \| ([\d.]+) [^|]*\|.* (\d+) \|$", requests + journey, re.M
    )
    return {_NAMES[row[0]]: Step(float(row[1]), int(row[2])) for row in rows if row[0] in _NAMES}


MEASURED = measured((ROOT / "docs" / "08-performance.md").read_text(encoding="utf-8"))
VCPU = 512 / 1769  # of a processor: AWS gives a whole one at 1,769 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """Seconds that an environment waits for others. All are assumptions, told in docs/08."""

    payments: float = 0.3
    supplier: float = 2.0
    trip: float = 0.001  # to a database of the same zone
    store: float = 0.1  # S3 takes a voucher
    mail: float = 0.3  # SES takes a mail
    bounces: float = 0.05  # mails that come back, at which MailBounceAlarm rings


AT_ONCE = Assumed(payments=0, supplier=0, store=0, mail=0)


def ours(step: str, assumed: Assumed) -> float:
    """Seconds of a step without its calls to others: measured CPU on a Lambda's share of a processor, and trips."""
    measured = MEASURED[step]
    return measured.cpu_ms / 1000 / VCPU + measured.trips * assumed.trip


def seconds(assumed: Assumed) -> dict[str, float]:
    """Seconds of places that an ordinary reservation takes behind each queue (docs/08 counts its calls)."""
    payment = assumed.payments + ours("payment", assumed)
    supplier = assumed.supplier + ours("supplier", assumed)
    return {
        "PaymentQueue": payment,
        "SupplierQueue": supplier,
        "VoucherQueue": assumed.store + ours("voucher", assumed),
        "NotificationQueue": assumed.mail + ours("mail", assumed),
        "PaymentLookQueue": 2 * payment,
        "SupplierLookQueue": 3 * supplier,
        "MailEventQueue": assumed.bounces * ours("webhook", assumed),  # not measured itself
    }


def rates(size: str, assumed: Assumed = Assumed()) -> dict[str, float]:
    """Reservations a second that each queue can carry."""
    places: Mapping[str, int] = template()["Mappings"]["Places"][size]
    return {queue: places[queue] / taken for queue, taken in seconds(assumed).items()}


def bottleneck(size: str, assumed: Assumed = Assumed()) -> tuple[str, float]:
    """The queue that carries fewest reservations a second, and how many."""
    found = rates(size, assumed)
    return min(found.items(), key=lambda each: each[1])


# --- cost -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Price:
    """A list price in us-east-1, in dollars, the page where it was looked up, whose, and when. No page, no price."""

    dollars: float
    source: str
    by: str
    looked_up: str


_GATEWAY = (
    "https://docs.aws.amazon.com/whitepapers/latest/best-practices-api-gateway-private-apis-integration/"
    "cost-optimization.html"
)
_LAMBDA = "https://docs.aws.amazon.com/whitepapers/latest/how-aws-pricing-works/lambda.html"
_COPIES = "https://raw.githubusercontent.com/api-evangelist"
PRICES: Mapping[str, Price] = {
    "gateway": Price(3.50e-6, _GATEWAY, "AWS", "2026-11-30"),
    "invocation": Price(0.20e-6, _LAMBDA, "AWS", "2026-11-30"),
    "gb_second": Price(0.00001667, _LAMBDA, "AWS", "2026-11-30"),
    "sqs": Price(0.40e-6, "https://cloudburn.io/blog/amazon-sqs-pricing", "otros", "2026-12-01"),
    # The plan of an account that is new to SES since July 2026; others may still pay 0.10 for a thousand.
    "mail": Price(
        0.16e-3,
        f"{_COPIES}/amazon-ses/refs/heads/main/plans/amazon-ses-plans-pricing.yml",
        "copia de la de AWS",
        "2026-12-01",
    ),
    "log_gb": Price(
        0.50, "https://c3x.dev/blog/cloudwatch-logs-cost-optimization", "otros", "2026-12-01"
    ),
    "nat_hour": Price(
        0.045,
        f"{_COPIES}/amazon-vpc/refs/heads/main/plans/amazon-vpc-plans-pricing.yml",
        "copia de la de AWS",
        "2026-12-01",
    ),
}
POLLER_S = 61 * 60 * 24 * 30  # seconds a month: 61 of every minute
_CALLS = 7  # of the frontend: create, five polls, voucher
_WEBHOOKS = 2
_HINTS = 4  # a charge, a booking, a voucher, a mail
_LOOKS = 5
_SQS_REQUESTS = 3  # send, receive, delete; batches make it fewer
_POLLERS = 5  # long polls at once on each queue, by which Lambda begins; an empty one takes 20 s and is paid
_POLL_S = 20
_LOG_GB = 2e-6  # of one invocation: two kilobytes, an assumption
_NATS = 2  # one a zone

A_MONTH: Mapping[str, int] = {"small": 3_000, "middle": 300_000, "large": 3_000_000}


def polling() -> float:
    """Dollars a month of the requests that find a queue empty, at most."""
    queues = len(seconds(Assumed()))
    return queues * _POLLERS * MONTH_S / _POLL_S * PRICES["sqs"].dollars


def poller() -> float:
    """Dollars a month of the outbox poller."""
    return POLLER_S * GB * PRICES["gb_second"].dollars


def monthly(size: str, assumed: Assumed = Assumed()) -> dict[str, float]:
    """Dollars a month of each part, for `A_MONTH` reservations. Parts without a looked-up price are left out."""
    reservations = A_MONTH[size]
    invocations = reservations * (_CALLS + _WEBHOOKS + _HINTS + _LOOKS)
    calls = (_CALLS + _WEBHOOKS) * ours("create", assumed)  # the dearest of them
    busy = reservations * (calls + sum(seconds(assumed).values()))
    dollars = {name: price.dollars for name, price in PRICES.items()}
    return {
        "puerta": reservations * (_CALLS + _WEBHOOKS) * dollars["gateway"],
        "lambda": invocations * dollars["invocation"] + busy * GB * dollars["gb_second"],
        "sondeo": poller(),
        "colas": reservations * (_HINTS + _LOOKS) * _SQS_REQUESTS * dollars["sqs"] + polling(),
        "correo": reservations * dollars["mail"],
        "registros": (invocations + POLLER_S / 61) * _LOG_GB * dollars["log_gb"],
        "NAT": _NATS * MONTH_S / 3600 * dollars["nat_hour"],
    }


# --- against Lambda durable functions (ADR-004) ----------------------------------------------------

# Transcriptions of AWS's pages, read on 2026-09-20 and 2026-10-07; operations of the saga, counted on its local runner.
OPERATION = 8e-6
_OPERATIONS = 7
_LOOK_OPERATIONS = 10
_DATA = 1.3e-6  # 4 kB written and kept for 14 days
_CHECKPOINT_S = 0.041


def engines(assumed: Assumed, looks: bool) -> tuple[float, float]:
    """Dollars of a million reservations, here and with durable functions. Gateway, logs and mail are equal."""
    dollars = {name: price.dollars for name, price in PRICES.items()}
    kept = seconds(assumed)
    taken = ours("create", assumed) + sum(
        kept[name] for name in kept if name != "MailEventQueue" and (looks or "Look" not in name)
    )
    hints = _HINTS + _LOOKS * looks
    operations = _OPERATIONS + _LOOK_OPERATIONS * looks
    busy = taken * GB * dollars["gb_second"]
    here = busy + hints * (_SQS_REQUESTS * dollars["sqs"] + dollars["invocation"])
    there = busy + operations * (OPERATION + _CHECKPOINT_S * GB * dollars["gb_second"]) + _DATA
    there += (1 + _LOOKS * looks) * dollars["invocation"]
    return here * 1e6, there * 1e6


def break_even(assumed: Assumed, looks: bool) -> float:
    """Reservations a month above which staying here is cheaper: the fixed cost over the difference of one."""
    here, there = engines(assumed, looks)
    return (poller() + polling()) / (there - here) * 1e6


def engine_rows() -> Iterator[Sequence[str]]:
    """A row per account of ADR-004."""
    for label, assumed in (("al momento", AT_ONCE), ("como en docs/08", Assumed())):
        for looks in (False, True):
            here, there = engines(assumed, looks)
            yield [
                f"{label}{', con consultas tardías' if looks else ''}",
                _number(here, 0),
                _number(there, 0),
                _number(there / here, 1),
                _thousands(round(break_even(assumed, looks), -4)),
            ]


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace(".", ",")


def seconds_rows() -> Iterator[Sequence[str]]:
    """A row per step: its measured CPU and trips, and the seconds of ours that follow."""
    for label, step in _NAMES.items():
        measured = MEASURED[step]
        numbers = [(measured.cpu_ms, 1), (measured.trips, 0), (ours(step, Assumed()), 3)]
        yield [label, *(_number(*each) for each in numbers)]


def queue_rows() -> Iterator[Sequence[str]]:
    """A row for creating and per queue: seconds, places and rate by size, and the places that RNF-03 needs."""
    places = template()["Mappings"]["Places"]
    taken = {"CreateReservation": ours("create", Assumed()), **seconds(Assumed())}
    for name, own in taken.items():
        of_size = [places[size][name] for size in SIZES]
        yield [
            f"`{name}`",
            _number(own, 3),
            " · ".join(str(each or "–") for each in of_size),
            " · ".join(_number(each / own, 1) if each else "–" for each in of_size),
            str(ceil(REQUIRED * own)),
        ]
    sums = [sum(places[size][name] for name in taken) for size in SIZES]
    needed = sum(ceil(REQUIRED * own) for own in taken.values())
    yield ["suma", _number(sum(taken.values()), 3), " · ".join(map(str, sums)), "–", str(needed)]


def throughput_rows() -> Iterator[Sequence[str]]:
    """A row per size for docs/08."""
    for size in SIZES:
        queue, rate = bottleneck(size)
        quick = bottleneck(size, Assumed(supplier=0.3))[1]
        day = _thousands(rate * 86_400)
        yield [f"`{size}`", f"`{queue}`", _number(rate, 1), day, _number(quick, 1)]


def told(size: str) -> str:
    """The lines of a parameter file: its first bottleneck and its cost."""
    queue, rate = bottleneck(size)
    step, least = min(
        ((name, each) for name, each in rates(size).items() if "Look" not in name),
        key=lambda each: each[1],
    )
    return (
        f"# Primer cuello: {queue}, {_number(rate, 1)} reservas por segundo."
        f" De los pasos: {step}, {_number(least, 1)}.\n"
        f"# Unos {_number(sum(monthly(size).values()), 0)} $ al mes con {_thousands(A_MONTH[size])} reservas,"
        " sin la base de datos.\n"
    )


def _thousands(value: float) -> str:
    return f"{value:,.0f}".replace(",", ".")


def cost_rows() -> Iterator[Sequence[str]]:
    for size in SIZES:
        parts = monthly(size)
        listed = " · ".join(f"{name} {_number(dollars, 0)}" for name, dollars in parts.items())
        yield [
            f"`{size}`",
            _thousands(A_MONTH[size]),
            listed,
            _number(sum(parts.values()), 0),
        ]
