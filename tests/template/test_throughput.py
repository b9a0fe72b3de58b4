"""Throughput and cost by arithmetic: the numbers of docs/08 are those of the template."""

import re
from datetime import date

import pytest
import yaml

from local.template import SIZES, in_size, template
from tests.template.resources import ROOT, functions
from tools import throughput
from tools.preflight.account import FREE
from tools.throughput import (
    AT_ONCE,
    MEASURED,
    REQUIRED,
    Assumed,
    Step,
    bottleneck,
    break_even,
    engines,
    measured,
    monthly,
    ours,
    rates,
    seconds,
)


def test_each_queue_of_a_step_is_counted() -> None:
    queues = {key for key in template()["Mappings"]["Places"]["large"] if key.endswith("Queue")}
    assert seconds(Assumed()).keys() == queues


def test_the_seconds_of_a_step_come_from_the_tables_of_the_bench() -> None:
    text = """
**Otras peticiones**

| webhook | 2.24 (2.23–2.26) | 1.57 (1.54–1.60) | 1.08 | 3 |

**Un recorrido, paso a paso**

| crear | 4.32 (4.07–4.59) | 2.92 (2.61–3.19) | 3 |
| bono | 43.77 (43.40–46.38) | 44.46 (44.25–45.61) | 5 |

**El bono**

| bono | 37.5 (37.3–37.9) | 1.45 (1.41–1.45) | 9 |
"""

    assert measured(text) == {
        "webhook": Step(1.57, 3),
        "create": Step(2.92, 3),
        "voucher": Step(44.46, 5),
    }
    assert len(MEASURED) == 6


def test_places_over_seconds_is_the_rate_of_a_queue() -> None:
    """Two places, three looks of 2 s and what is ours of each."""
    taken = 3 * (2.0 + ours("supplier", Assumed()))

    assert rates("middle")["SupplierLookQueue"] == pytest.approx(2 / taken)


def test_the_large_size_carries_what_is_required_of_each_step() -> None:
    """Late looks may wait: LooksBehindAlarm rings after four hours."""
    steps = {queue: rate for queue, rate in rates("large").items() if "Look" not in queue}
    assert min(steps.values()) >= REQUIRED


def test_the_middle_size_is_bound_by_the_supplier() -> None:
    assert bottleneck("middle")[0] in {"SupplierQueue", "SupplierLookQueue"}
    assert bottleneck("middle")[1] < REQUIRED


def test_our_own_part_of_a_step_is_small_beside_its_calls_to_others() -> None:
    """Only the voucher is drawn by our own processor."""
    own = {step: ours(step, Assumed()) for step in MEASURED}

    assert max(own, key=own.__getitem__) == "voucher"
    for step, queue in (("payment", "PaymentQueue"), ("mail", "NotificationQueue")):
        assert own[step] < seconds(Assumed())[queue] / 2


def test_less_of_a_processor_takes_longer() -> None:
    assert ours("voucher", Assumed()) > MEASURED["voucher"].cpu_ms / 1000


def test_a_slower_supplier_carries_fewer_reservations() -> None:
    assert bottleneck("large", Assumed(supplier=5.0))[1] < bottleneck("large")[1]


@pytest.mark.parametrize("size", SIZES)
def test_a_parameter_file_holds_parameters_of_the_template_and_the_places_that_it_needs(
    size: str,
) -> None:
    text = (ROOT / "docs/parametros" / f"{size}.yaml").read_text(encoding="utf-8")
    given = yaml.safe_load(text)
    declared = template()["Parameters"]
    assert given["Size"] == size
    for name, value in given.items():
        assert value in declared[name].get("AllowedValues", [value])
    needed = sum(
        in_size(own["ReservedConcurrentExecutions"], size) or 0
        for own in functions().values()
        if "ReservedConcurrentExecutions" in own
    )
    told = re.findall(r"Necesita (\d+) ejecuciones", text)
    assert told == ([str(needed + FREE)] if needed else [])


def test_the_poller_costs_the_same_at_any_volume() -> None:
    assert len({monthly(size)["sondeo"] for size in SIZES}) == 1
    assert monthly("small")["sondeo"] == pytest.approx(22, abs=0.5)


def test_a_large_month_costs_what_a_person_computes_from_the_pages() -> None:
    """3 million reservations: 9 calls at 3.50 $, 27 SQS requests at 0.40, a mail at 0.16 a thousand, two NATs."""
    parts = monthly("large")
    empty = 7 * 5 * 3 * 60 * 24 * 30 * 0.40 / 1e6

    assert parts["puerta"] == pytest.approx(27 * 3.50)
    assert parts["colas"] == pytest.approx(81 * 0.40 + empty)
    assert parts["correo"] == pytest.approx(3_000 * 0.16)
    assert parts["NAT"] == pytest.approx(2 * 720 * 0.045)
    assert parts["sondeo"] == pytest.approx(61 * 1_440 * 30 / 2 * 0.00001667)
    assert parts["registros"] == pytest.approx((54e6 + 43_200) * 2e-6 * 0.50)
    own = 9 * ours("create", Assumed()) + sum(seconds(Assumed()).values())
    assert parts["lambda"] == pytest.approx(54 * 0.20 + 3e6 * own / 2 * 0.00001667)


def test_each_price_names_the_day_on_which_its_page_was_looked_up() -> None:
    for price in throughput.PRICES.values():
        assert price.source.startswith("https://")
        assert date.fromisoformat(price.looked_up) >= date(2026, 11, 30)


@pytest.mark.parametrize("looks", [False, True])
def test_waiting_for_providers_moves_no_break_even(looks: bool) -> None:
    """Both engines pay for the wait; only the ratio falls."""
    at_once, waiting = engines(AT_ONCE, looks), engines(Assumed(), looks)

    assert waiting[0] > 2 * at_once[0]
    assert waiting[1] - waiting[0] == pytest.approx(at_once[1] - at_once[0])
    assert break_even(Assumed(), looks) == pytest.approx(break_even(AT_ONCE, looks))
