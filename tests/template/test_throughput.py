"""Throughput and cost by arithmetic: the numbers of docs/08 are those of the template."""

import re

import pytest
import yaml

from local.template import SIZES, in_size, template
from tests.template.resources import ROOT, functions
from tools import throughput
from tools.preflight.account import FREE
from tools.throughput import MEASURED, REQUIRED, Assumed, bottleneck, monthly, ours, rates, seconds


def test_each_queue_of_a_step_is_counted() -> None:
    queues = {key for key in template()["Mappings"]["Places"]["large"] if key.endswith("Queue")}
    assert seconds(Assumed()).keys() == queues - {"MailEventQueue"}


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


def test_each_price_in_the_total_was_looked_up() -> None:
    assert all(price.source.startswith("https://") for price in throughput.PRICES.values())
    text = (ROOT / "docs/08-performance.md").read_text(encoding="utf-8")
    for part in throughput.UNCHECKED:
        assert part in text
    for price in throughput.PRICES.values():
        assert price.source in text
    assert throughput.LOOKED_UP in text
