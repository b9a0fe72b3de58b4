"""The conformance kit against the simulators: a good one keeps every promise, and each hostile mood breaks its own."""

import re
import socket
import subprocess
import sys
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import pytest

from local.paths import ROOT
from local.simulators.moods import MOODS
from local.simulators.payments import Payments
from local.simulators.provider import Provider
from local.simulators.server import Desk, Server
from local.simulators.storage import Storage
from local.simulators.supplier import Supplier
from tools.conformance.__main__ import Examination, examine, main, promises_of
from tools.conformance.api import Api, trusted_roots
from tools.conformance.contract import Contract
from tools.conformance.inputs import Inputs
from tools.conformance.orders import Orders
from tools.conformance.payments import Charges
from tools.conformance.supplier import Bookings
from tools.conformance.verdicts import Promise, Verdict

KEY = "the-right-key"
_INPUTS = Inputs(many=11, rest=0)  # one more than a page of the mood hides_rows
TABLE = "We lose without it"
ORDERS: Mapping[str, type[Orders]] = {"payments": Charges, "supplier": Bookings}
SIMULATED: Mapping[str, type[Provider]] = {"payments": Payments, "supplier": Supplier}
CONTRACTS: Mapping[str, Contract] = {name: Contract(name) for name in ORDERS}
NOT_OBSERVABLE: Mapping[str, set[str]] = {
    "payments": {"refund_by_hand", "dispute", "refund_final"},
    "supplier": set(),
}
NEVER_OBSERVABLE = {"key_kept_a_day", "webhooks", "schemathesis"}  # the last is switched off here

# The promises that each mood breaks: its own first, then those that cannot hold without it.
BOTH: Mapping[str, tuple[str, ...]] = {
    "accepts_other_body": ("same_key_other_body",),
    "acts_and_denies": ("postponed_did_nothing", "failure_not_kept"),
    "acts_and_fails": ("failure_not_kept",),
    "acts_on_other_body": ("same_key_other_body",),
    "changes_case": ("exact_case", "id_stays"),
    "changes_ids": ("id_stays", "final_stays"),
    "changes_its_word": ("final_stays",),
    "chokes_on_extras": ("extra_members",),
    "declines_by_4xx": ("refused_in_2xx", "as_declared"),
    "empty_is_404": ("empty_listing", "as_declared"),
    "error_in_200": ("same_key_other_body", "extra_members", "as_declared"),
    "falters": (),
    "forgets_keys": (
        *("same_key_in_turn", "same_key_at_once", "same_key_after_silence"),
        *("same_key_other_body", "failure_not_kept", "id_stays", "final_stays", "key_kept_a_day"),
    ),
    "forgets_unanswered": ("same_key_after_silence",),
    "hides_rows": ("all_listed",),
    "lowers_keys": ("exact_case",),
    "matches_prefixes": ("only_ours",),
    "misnames_rows": (
        *("only_ours", "soon_listed", "id_stays", "exact_case", "refused_in_2xx", "terms_stay"),
        *("same_key_in_turn", "same_key_after_silence", "same_key_other_body", "key_kept_a_day"),
    ),
    "sells_out": (),
    "html_200": ("unknown_id", "as_declared"),
    "ignores_case": ("exact_case",),
    "ignores_reference": (
        *("credentials", "key_required", "json_required", "key_kept_a_day"),
        *("all_listed", "only_ours", "empty_listing", "id_stays", "exact_case", "extra_members"),
        *("same_key_in_turn", "same_key_at_once", "same_key_after_silence", "same_key_other_body"),
        *("failure_not_kept", "postponed_did_nothing", "refused_in_2xx", "final_stays"),
    ),
    "keeps_5xx": ("failure_not_kept",),
    "keeps_few_keys": ("key_kept_a_day",),
    "lists_late": ("soon_listed", "all_listed", "final_stays"),
    "needs_no_credentials": ("credentials",),
    "needs_no_key": ("key_required",),
    "needs_no_reference": ("reference_required",),
    "races": ("same_key_at_once",),
}
OWN: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "payments": {
        "accepts_other_body": ("refund_key",),
        "acts_on_other_body": ("refund_key",),
        "error_in_200": ("refund_limit", "refund_key", "void_of_pending"),
        "forgets_keys": ("refund_key",),
        "hides_rows": ("all_refunds_listed",),
        "ignores_reference": ("decimals",),
        "miscounts_refunds": ("refund_sum",),
        "misnames_rows": (
            *("refund_limit", "refund_sum", "all_refunds_listed", "refund_key"),
            *("void_of_taken", "void_of_pending"),
        ),
        "nets_amounts": ("terms_stay",),
        "over_refunds": ("refund_limit",),
        "races": ("refund_key",),
        "refunds_twice": ("refund_limit", "refund_sum", "refund_key"),
        "rounds_amounts": ("decimals", "refund_limit", "same_key_other_body"),
        "voids_taken": ("void_of_taken",),
        "wrong_decimals": ("decimals",),
    },
    "supplier": {
        "cancels_in_words": ("final_stays",),
        "changes_prices": ("terms_stay",),
        "confirms_any_price": ("own_price",),
        "declines_by_4xx": ("own_price",),
        "changes_locators": ("locator_stays",),
        "cancels_with_new_locator": ("locator_stays",),
        "ignores_reference": ("locator_stays",),
        "misnames_rows": (
            *("cancel_repeated", "cancel_key", "locator_stays", "as_asked", "own_price"),
        ),
        "needs_no_key": ("cancel_key",),
        "other_dates": ("as_asked",),
        "revives": ("cancel_repeated",),
    },
}
SLOW = ("forgets_unanswered", "lists_late", "races")  # each delays all requests
CASES = [
    (provider, mood, (*BOTH.get(mood, ()), *OWN[provider].get(mood, ())))
    for provider in ORDERS
    for mood in sorted({*BOTH, *OWN[provider]})
]


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A simulator in this process, on a port of its own."""

    provider: str
    url: str

    def set_mood(self, mood: str | None) -> None:
        self.control("mood", {"mood": mood})

    def control(self, what: str, body: dict[str, Any] | None = None) -> None:
        url = f"{self.url}/_sim/{what}"
        httpx.post(url, json=body, verify=trusted_roots()).raise_for_status()

    def books(self) -> dict[str, list[dict[str, Any]]]:
        books: dict[str, list[dict[str, Any]]] = httpx.get(
            f"{self.url}/_sim/ledger", verify=trusted_roots()
        ).json()
        return books

    def is_undone(self) -> bool:
        """Return whether no money is held and no booking lives."""
        books = self.books()
        if self.provider == "supplier":
            return all(row["status"] in ("cancelled", "rejected") for row in books["bookings"])
        refunded: dict[str, Decimal] = {}
        for row in books["refunds"]:
            payment_id = row["payment_id"]
            refunded[payment_id] = refunded.get(payment_id, Decimal(0)) + Decimal(row["amount"])
        return all(
            row["status"] in ("declined", "voided")
            or refunded.get(row["payment_id"]) == Decimal(row["amount"])
            for row in books["charges"]
        )


@contextmanager
def sandbox_of(provider: str) -> Iterator[Sandbox]:
    storage, stopping = Storage(), threading.Event()
    desk = Desk(SIMULATED[provider](storage=storage), api_key=KEY)
    server = Server(("127.0.0.1", 0), desk=desk, silence_seconds=1, stopping=stopping)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield Sandbox(provider, f"http://127.0.0.1:{server.server_port}")
    finally:
        stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
        storage.close()


@pytest.fixture(params=ORDERS)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with sandbox_of(request.param) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENTS_KEY", KEY)
    monkeypatch.setenv("SUPPLIER_KEY", KEY)


def examined(
    sandbox: Sandbox,
    *,
    patience_s: float = 10,
    only: Collection[str] = (),
    more: Sequence[Promise] = (),
    inputs: Inputs = _INPUTS,
) -> Examination:
    promises = [*promises_of(sandbox.provider, fuzz_seconds=0, fuzz_examples=0), *more]
    chosen = [promise for promise in promises if not only or promise.name in only]
    with Api(
        CONTRACTS[sandbox.provider], sandbox.url, KEY, timeout_s=10, patience_s=patience_s
    ) as api:
        orders = ORDERS[sandbox.provider](api, inputs)
        return examine(orders, chosen)


def rows_with(found: Examination, verdict: Verdict) -> set[str]:
    return {row.promise.name for row in found.rows if row.verdict is verdict}


def test_a_good_provider_keeps_every_promise_that_can_be_observed(sandbox: Sandbox) -> None:
    found = examined(sandbox)

    assert rows_with(found, Verdict.BROKEN) == set()
    unseen = NOT_OBSERVABLE[sandbox.provider] | NEVER_OBSERVABLE
    assert rows_with(found, Verdict.NOT_OBSERVABLE) == unseen
    assert (found.code, found.left) == (0, [])
    assert sandbox.is_undone()


@pytest.mark.parametrize(("provider", "mood", "broken"), CASES)
def test_a_hostile_mood_breaks_its_promise(
    provider: str, mood: str, broken: tuple[str, ...]
) -> None:
    with sandbox_of(provider) as sandbox:
        sandbox.set_mood(mood)
        found = examined(sandbox, patience_s=0.2, only=broken if mood in SLOW else ())

        assert rows_with(found, Verdict.BROKEN) == set(broken)
        assert found.code == (1 if broken else 0)
        assert sandbox.is_undone() or found.left


def test_every_promise_is_documented() -> None:
    document = (ROOT / "docs" / "contratos" / "conformidad.md").read_text("utf-8")
    names = {
        promise.name
        for provider in ORDERS
        for promise in promises_of(provider, fuzz_seconds=0, fuzz_examples=0)
    }

    assert set(re.findall(r"^\| `(\w+)`", document, re.MULTILINE)) == names


def test_every_mood_is_tried() -> None:
    assert {mood for _, mood, _ in CASES} == set(MOODS)


def test_a_reset_ends_a_mood(sandbox: Sandbox) -> None:
    sandbox.set_mood("empty_is_404")
    sandbox.control("reset")

    listing = httpx.get(
        f"{sandbox.url}{ORDERS[sandbox.provider].path}",
        params={"reference": "none"},
        headers={"Authorization": f"Bearer {KEY}"},
    )

    assert listing.status_code == 200


@pytest.mark.parametrize(
    ("provider", "inputs", "remains"),
    [
        ("payments", Inputs(token="tok_refund_rejected"), "refund rejected"),
        ("payments", Inputs(token="tok_refund_pending"), "refund pending"),
        ("supplier", Inputs(offer="NOC-KIT-001"), "still confirmed"),
    ],
)
def test_everything_that_cannot_be_undone_is_named(
    provider: str, inputs: Inputs, remains: str
) -> None:
    with sandbox_of(provider) as sandbox:
        found = examined(sandbox, only=["same_key_in_turn"], inputs=inputs)

    assert found.code == 4
    assert {line.partition(": ")[2] for line in found.left} == {remains}


def test_a_payment_is_undone_by_the_sum_that_was_asked_for() -> None:
    with sandbox_of("payments") as sandbox:
        sandbox.set_mood("nets_amounts")
        found = examined(sandbox, only=["refund_sum"])

        assert (found.code, found.left) == (0, [])
        assert sandbox.is_undone()


def test_a_payment_smaller_than_asked_for_is_named() -> None:
    with sandbox_of("payments") as sandbox:
        sandbox.set_mood("rounds_amounts")
        found = examined(sandbox, only=["same_key_in_turn"])

    assert {line.partition(": ")[2] for line in found.left} == {"0.35 EUR not listed as refunded"}


def test_a_refund_listing_that_is_cut_does_not_keep_money() -> None:
    with sandbox_of("payments") as sandbox:
        sandbox.set_mood("hides_rows")
        found = examined(sandbox, only=["all_refunds_listed"], patience_s=0)

        assert found.left
        assert sandbox.is_undone()


def test_refunds_that_stay_pending_are_not_observable() -> None:
    with sandbox_of("payments") as sandbox:
        pending = Inputs(token="tok_refund_pending")
        found = examined(sandbox, only=["refund_sum"], patience_s=0, inputs=pending)

    assert rows_with(found, Verdict.NOT_OBSERVABLE) == {"refund_sum"}


def test_an_offer_that_is_sold_out_shows_nothing_about_keys(sandbox: Sandbox) -> None:
    sandbox.set_mood("sells_out")
    found = examined(sandbox)

    unseen = rows_with(found, Verdict.NOT_OBSERVABLE)
    acting_once = {"in_turn", "at_once", "after_silence", "other_body"}
    assert {f"same_key_{name}" for name in acting_once} <= unseen
    assert unseen >= ({"own_price", "as_asked"} if sandbox.provider == "supplier" else set())


def test_an_id_listed_in_another_case_is_counted_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with sandbox_of("payments") as sandbox:
        sandbox.set_mood("changes_case")
        main(["--payments-url", sandbox.url, "--only", "same_key_in_turn", "--patience", "0"])

    assert "2 payments made" in capsys.readouterr().out


def test_a_page_of_html_is_named() -> None:
    with sandbox_of("supplier") as sandbox:
        sandbox.set_mood("html_200")
        found = examined(sandbox, only=["unknown_id", "as_declared"])

    assert [row.verdict for row in found.rows] == [Verdict.BROKEN] * 2
    assert all("text/html" in row.seen for row in found.rows)


def test_a_foreign_reference_in_an_answer_is_named(sandbox: Sandbox) -> None:
    sandbox.set_mood("misnames_rows")
    found = examined(sandbox, only=["only_ours", "soon_listed"], patience_s=0)

    assert all("another reference: somebody-else" in row.seen for row in found.rows)


def test_a_refund_above_the_payment_is_named() -> None:
    with sandbox_of("payments") as sandbox:
        sandbox.set_mood("refunds_twice")
        found = examined(sandbox, only=["same_key_in_turn"])

    assert {line.partition(": ")[2] for line in found.left} == {"4.35 EUR too much is refunded"}


def test_a_row_of_another_client_is_left_alone() -> None:
    with (
        sandbox_of("payments") as sandbox,
        Api(CONTRACTS["payments"], sandbox.url, KEY, 10, 0) as api,
    ):
        sandbox.set_mood("ignores_reference")
        body = {"reference": "theirs", "amount": "7.00", "currency": "EUR", "token": "tok_ok"}
        theirs = api.ask("POST", "/payments", key="theirs", body=body).row("payment_id")
        found = examined(sandbox, patience_s=0, only=["same_key_in_turn"])
        books = sandbox.books()

    assert found.left == [f"payment {theirs['payment_id']}: its reference is not ours"]
    assert len(books["charges"]) == 3
    assert theirs["payment_id"] not in {refund["payment_id"] for refund in books["refunds"]}


def test_an_interrupted_run_is_undone(sandbox: Sandbox) -> None:
    def interrupted(orders: Orders) -> str:
        orders.make()
        raise KeyboardInterrupt

    found = examined(
        sandbox,
        only=["same_key_in_turn", "interrupted"],
        more=[Promise("interrupted", "", "", interrupted)],
    )

    assert (found.code, found.left) == (130, [])
    assert sandbox.is_undone()


def test_an_interrupted_undo_names_all_that_may_remain() -> None:
    class Interrupted(Charges):
        def undo_one(self, row: dict[str, Any]) -> str | None:
            raise KeyboardInterrupt

    with (
        sandbox_of("payments") as sandbox,
        Api(CONTRACTS["payments"], sandbox.url, KEY, 10, 0) as api,
    ):
        orders = Interrupted(api, _INPUTS)
        found = examine(orders, [Promise("one", "", "", lambda orders: orders.make()["status"])])

    assert found.code == 130
    assert found.left == [f"all under {next(iter(orders.references))} and the next 1: interrupted"]


def test_a_terminated_run_is_undone_and_tests_no_other_provider() -> None:
    with sandbox_of("payments") as sandbox, sandbox_of("supplier") as other:
        command = [sys.executable, "-m", "tools.conformance", "--fuzz-seconds", "0"]
        command += ["--payments-url", sandbox.url, "--supplier-url", other.url, "--rest", "600"]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as run:
            assert run.stdout
            printed = "".join(iter_until(run.stdout, "refund_final"))
            run.terminate()
            printed += run.stdout.read()

        assert run.returncode == 130
        assert "interrupted" in printed
        assert sandbox.is_undone()
        assert other.books()["bookings"] == []


def test_a_terminated_make_ends_and_undoes_the_kit() -> None:
    with sandbox_of("supplier") as sandbox:
        command = ["make", "-o", "security-tools", "conformance", f"SUPPLIER_URL={sandbox.url}"]
        command += ["ARGS=--fuzz-seconds 0 --rest 30"]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as run:
            assert run.stdout
            "".join(iter_until(run.stdout, "own_price"))
            run.terminate()
            printed = run.stdout.read()

        assert "interrupted" in printed
        assert "all undone" in printed
        assert sandbox.is_undone()


def iter_until(lines: Iterable[str], word: str) -> Iterator[str]:
    """Return lines up to the first with `word`."""
    for line in lines:
        yield line
        if word in line:
            return


def test_one_provider_alone_is_tested_and_its_key_is_never_shown(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([f"--{sandbox.provider}-url", sandbox.url, "--fuzz-seconds", "0", "--rest", "0"])

    printed = capsys.readouterr()
    assert code == 0
    assert TABLE in printed.out
    assert "0 BROKEN" in printed.out
    assert KEY not in printed.out + printed.err


def test_a_broken_promise_is_the_exit_code(sandbox: Sandbox) -> None:
    sandbox.set_mood("empty_is_404")

    assert main([f"--{sandbox.provider}-url", sandbox.url, "--only", "empty_listing"]) == 1


def test_a_wrong_key_is_a_sentence_and_no_table(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"{sandbox.provider.upper()}_KEY"
    monkeypatch.setenv(name, "another")

    code = main([f"--{sandbox.provider}-url", sandbox.url])

    printed = capsys.readouterr()
    assert code == 3
    assert TABLE not in printed.out
    assert f"refuses the key of {name} (401)" in printed.err


def test_an_unreachable_provider_is_a_sentence_and_no_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        code = main(["--payments-url", url])

    printed = capsys.readouterr()
    assert code == 3
    assert TABLE not in printed.out
    assert f"no connection to {url}" in printed.err


@pytest.mark.parametrize(
    ("provider", "refused", "options"),
    [
        ("payments", ["--currency", "eur"], "--token, --amount, --currency"),
        (
            "supplier",
            ["--offer", "x" * 65],
            "--offer, --amount, --currency, --starts-on, --ends-on, --guest",
        ),
    ],
)
def test_a_refused_test_input_is_a_sentence_and_no_table(
    provider: str, refused: list[str], options: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with sandbox_of(provider) as sandbox:
        code = main([f"--{provider}-url", sandbox.url, *refused])

    printed = capsys.readouterr()
    assert code == 3
    assert TABLE not in printed.out
    assert "is answered 422 validation_failed" in printed.err
    assert options in printed.err


@pytest.mark.parametrize(
    ("provider", "unusable", "sentence"),
    [
        ("payments", ["--token", "tok_declined"], "is declined: give --token"),
        ("payments", ["--token", "tok_undecided"], "is pending: give --token"),
        ("supplier", ["--offer", "REJ-KIT-001"], "is rejected: give --offer"),
        ("supplier", ["--amount", "9.99"], "is rejected: give --offer, --amount"),
    ],
)
def test_a_test_input_that_never_succeeds_is_a_sentence_and_no_table(
    provider: str, unusable: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with sandbox_of(provider) as sandbox:
        code = main([f"--{provider}-url", sandbox.url, "--patience", "0", *unusable])

    printed = capsys.readouterr()
    assert code == 3
    assert TABLE not in printed.out
    assert sentence in printed.err


def test_a_pending_token_that_is_unknown_breaks_nothing() -> None:
    with sandbox_of("payments") as sandbox:
        found = examined(sandbox, only=["void_of_pending"], inputs=Inputs(pending_token="x" * 256))

    assert rows_with(found, Verdict.NOT_OBSERVABLE) == {"void_of_pending"}
    assert "--pending-token" in found.rows[0].seen


def test_silence_under_the_failing_token_breaks_nothing() -> None:
    with sandbox_of("payments") as sandbox:
        found = examined(
            sandbox,
            only=["failure_not_kept", "postponed_did_nothing"],
            inputs=Inputs(failing_token="tok_timeout"),
        )

    assert len(rows_with(found, Verdict.NOT_OBSERVABLE)) == 2


def test_an_outage_is_a_sentence_and_no_table(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.control("faults", {"mode": "outage"})

    code = main([f"--{sandbox.provider}-url", sandbox.url, "--patience", "0"])

    printed = capsys.readouterr()
    assert code == 3
    assert TABLE not in printed.out
    assert "out of service (503)" in printed.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give --payments-url"),
        (["--payments-url", "sandbox.example"], "http://"),
        (["--payments-url", "http://127.0.0.1:1", "--amount", "0.05"], "smallest units"),
        (["--payments-url", "http://127.0.0.1:1", "--only", "all"], "no promise all"),
        (["--payments-url", "http://me@127.0.0.1:1"], "no user, query or fragment"),
        (["--payments-url", "http://127.0.0.1:1/?key=word"], "no user, query or fragment"),
        (["--payments-url", "http://127.0.0.1:1", "--many", "1"], "--many"),
        (["--payments-url", "http://127.0.0.1:1", "--timeout", "0"], "--timeout"),
        (["--payments-url", "http://127.0.0.1:1", "--fuzz-examples", "0"], "--fuzz-examples"),
        (["--supplier-url", "http://127.0.0.1:1", "--starts-on", "tomorrow"], "--starts-on"),
        (["--supplier-url", "http://127.0.0.1:1", "--ends-on", "2027-01-01"], "--ends-on"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_a_missing_key_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SUPPLIER_KEY")

    with pytest.raises(SystemExit) as ended:
        main(["--supplier-url", "http://127.0.0.1:1"])

    assert ended.value.code == 2
    assert "SUPPLIER_KEY is not set" in capsys.readouterr().err
