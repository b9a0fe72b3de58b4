"""Throughput and monthly cost of each size, by Little's law and by list prices. Nothing here is a measurement.

Places of a queue divided by the seconds that a reservation keeps them is its rate. The slowest part is the bottleneck.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from local.template import SIZES, template

MONTH_S = 30 * 24 * 60 * 60
GB = 0.5  # memory of a function
SMALLEST_ACCOUNT = 10  # places of a new account, shared by all functions


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """Seconds that an environment is taken. Ours and the providers' are assumptions, told in docs/08."""

    payments: float = 0.3
    supplier: float = 2.0
    ours: float = 0.2  # both transactions of a step
    voucher: float = 0.4
    mail: float = 0.5
    request: float = 0.1


# By queue: calls of an ordinary reservation, and the seconds of each (docs/08, section on connections).
def seconds(assumed: Assumed) -> dict[str, float]:
    """Seconds of places that an ordinary reservation takes behind each queue."""
    looks = {"PaymentLookQueue": (2, assumed.payments), "SupplierLookQueue": (3, assumed.supplier)}
    return {
        "PaymentQueue": assumed.payments + assumed.ours,
        "SupplierQueue": assumed.supplier + assumed.ours,
        "VoucherQueue": assumed.voucher + assumed.ours,
        "NotificationQueue": assumed.mail + assumed.ours,
        **{queue: calls * (each + assumed.ours) for queue, (calls, each) in looks.items()},
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
    busy = reservations * ((_CALLS + _WEBHOOKS) * assumed.request + sum(seconds(assumed).values()))
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
