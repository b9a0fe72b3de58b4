"""Throughput and monthly cost of each size, by Little's law and by list prices. Nothing here was measured on AWS.

Places of a queue divided by the seconds that a reservation keeps them is its rate. The slowest part is the bottleneck.
Our own seconds follow from `MEASURED`, and those of others are `Assumed`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

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


# `make bench ARGS=steps`, medians of five rounds: 2026-12-01, x86_64, 2 CPU at a load of 18 to 20, Python 3.11.7, MySQL
# 9.7.4, commit da298194. Providers are on loopback; SQS, S3 and SES are in memory.
MEASURED: Mapping[str, Step] = {
    "create": Step(4.42, 3),
    "payment": Step(7.40, 5),
    "supplier": Step(7.59, 5),
    "voucher": Step(65.91, 5),
    "mail": Step(12.31, 6),
}
VCPU = 512 / 1769  # of a processor: AWS gives a whole one at 1,769 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """Seconds that an environment waits for others. All are assumptions, told in docs/08."""

    payments: float = 0.3
    supplier: float = 2.0
    trip: float = 0.001  # to a database of the same zone
    store: float = 0.1  # S3 takes a voucher
    mail: float = 0.3  # SES takes a mail


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
    """A list price in us-east-1, in dollars, and the page where it was looked up; no page, no price."""

    dollars: float
    source: str


LOOKED_UP = "2026-11-30"
_GATEWAY = (
    "https://docs.aws.amazon.com/whitepapers/latest/best-practices-api-gateway-private-apis-integration/"
    "cost-optimization.html"
)
_LAMBDA = "https://docs.aws.amazon.com/whitepapers/latest/how-aws-pricing-works/lambda.html"
PRICES: Mapping[str, Price] = {
    "gateway": Price(3.50e-6, _GATEWAY),
    "invocation": Price(0.20e-6, _LAMBDA),
    "gb_second": Price(0.00001667, _LAMBDA),
    "sqs": Price(
        0.40e-6,
        "https://adhdecode-articles-4.pages.dev/articles/sqs/sqs-cost-per-million-messages-pricing",
    ),
    "mail": Price(
        0.10e-3,
        "https://a.osmarks.net/content/superuser.com_en_all_2020-04/A/question/1399690.html",
    ),
    "log_gb": Price(0.50, "https://go-cloud.io/aws-api-gateway-pricing"),
    "nat_hour": Price(0.045, "https://www.zacfukuda.com/blog/aws-nat-gateway-vs-vpc-endpoint"),
}
UNCHECKED = (
    "base de datos y proxy",
    "alarmas y métricas",
    "adjuntos de correo",
    "S3",
    "tráfico por el NAT",
)
POLLER_S = 61 * 60 * 24 * 30  # seconds a month: 61 of every minute
_CALLS = 7  # of the frontend: create, five polls, voucher
_WEBHOOKS = 2
_HINTS = 4  # a charge, a booking, a voucher, a mail
_LOOKS = 5
_SQS_REQUESTS = 3  # send, receive, delete; batches make it fewer
_LOG_GB = 2e-6  # of one invocation: two kilobytes, an assumption
_NATS = 2  # one a zone

A_MONTH: Mapping[str, int] = {"small": 3_000, "middle": 300_000, "large": 3_000_000}


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
        "sondeo": POLLER_S * GB * dollars["gb_second"],
        "colas": reservations * (_HINTS + _LOOKS) * _SQS_REQUESTS * dollars["sqs"],
        "correo": reservations * dollars["mail"],
        "registros": (invocations + POLLER_S / 61) * _LOG_GB * dollars["log_gb"],
        "NAT": _NATS * MONTH_S / 3600 * dollars["nat_hour"],
    }


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace(".", ",")


def seconds_rows() -> Iterator[Sequence[str]]:
    """A row per step: measured CPU and trips, the seconds that follow, and the places that RNF-03 needs."""
    labels = {
        "create": ("crear", None),
        "payment": ("pago", "PaymentQueue"),
        "supplier": ("proveedor", "SupplierQueue"),
        "voucher": ("bono", "VoucherQueue"),
        "mail": ("correo", "NotificationQueue"),
    }
    for step, (label, queue) in labels.items():
        whole = seconds(Assumed())[queue] if queue else ours(step, Assumed())
        measured = MEASURED[step]
        places = ceil(REQUIRED * whole)
        numbers = [(measured.cpu_ms, 1), (measured.trips, 0), (whole, 3), (places, 0)]
        yield [label, *(_number(*each) for each in numbers)]


def throughput_rows() -> Iterator[Sequence[str]]:
    """A row per size for docs/08."""
    for size in SIZES:
        queue, rate = bottleneck(size)
        quick = bottleneck(size, Assumed(supplier=0.3))[1]
        yield [
            f"`{size}`",
            f"`{queue}`",
            _number(rate, 1),
            _number(rate * 86_400, 0),
            _number(quick, 1),
        ]


def cost_rows() -> Iterator[Sequence[str]]:
    for size in SIZES:
        parts = monthly(size)
        listed = " · ".join(f"{name} {_number(dollars, 0)}" for name, dollars in parts.items())
        yield [
            f"`{size}`",
            f"{A_MONTH[size]:,}".replace(",", "."),
            listed,
            _number(sum(parts.values()), 0),
        ]
