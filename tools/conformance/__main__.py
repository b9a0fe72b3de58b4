"""Test providers against the promises of docs/contratos, and print a table for each."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal, InvalidOperation
from urllib.parse import urlsplit

from tools.conformance import fuzzing, keys, payments, report, rows, supplier
from tools.conformance.api import Answer, Api, UnreachableError
from tools.conformance.contract import Contract
from tools.conformance.inputs import Inputs
from tools.conformance.orders import Orders
from tools.conformance.verdicts import BrokenError, Promise, Row, Verdict, judge

_HOLDS, _BROKEN, _USAGE, _NO_PROVIDER, _NOT_UNDONE, _INTERRUPTED = 0, 1, 2, 3, 4, 130
_SIDES: dict[str, tuple[type[Orders], tuple[Promise, ...]]] = {
    "payments": (payments.Charges, payments.PROMISES),
    "supplier": (supplier.Bookings, supplier.PROMISES),
}
_LEAST = {
    "timeout": 0.1,
    "patience": 0,
    "fuzz_seconds": 0,
    "fuzz_examples": 1,
    "many": 2,
    "rest": 0,
}
_EPILOG = f"""environment:
  PAYMENTS_KEY, SUPPLIER_KEY   our keys in the two APIs

Give it a sandbox: it charges, refunds, books and cancels for real. It undoes everything that it made, and names
everything that it could not undo.

exit codes:
  {_HOLDS}    no promise is broken, all is undone; some may be not observable, which is never a pass
  {_BROKEN}    at least one promise is broken
  {_USAGE}    wrong arguments, or a key is missing
  {_NO_PROVIDER}    a provider cannot be reached, refuses our key or the test inputs, or is another service
  {_NOT_UNDONE}    no promise is broken, but something that was made is not undone
  {_INTERRUPTED}  interrupted by Ctrl-C or SIGTERM; everything made by then is undone"""


@dataclass(frozen=True, slots=True)
class Examination:
    """One provider's rows, everything that could not be undone, and the exit code."""

    rows: Sequence[Row]
    left: Sequence[str]
    code: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Test the providers whose address is given. Return the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    inputs = Inputs(**{one.name: getattr(given, one.name) for one in fields(Inputs)})
    urls = {name: getattr(given, f"{name}_url") for name in _SIDES}
    if problem := _problem(urls, given):
        parser.error(problem)
    codes: list[int] = []
    for name, url in urls.items():
        if url and _INTERRUPTED not in codes:
            codes.append(_tested(name, url, given, inputs))
    return max(codes, key=[_HOLDS, _NOT_UNDONE, _BROKEN, _NO_PROVIDER, _INTERRUPTED].index)


def promises_of(name: str, *, fuzz_seconds: int, fuzz_examples: int) -> list[Promise]:
    last = fuzzing.promise(seconds=fuzz_seconds, examples=fuzz_examples)
    return [*keys.PROMISES, *rows.PROMISES, *_SIDES[name][1], *rows.ENDING, last, keys.KEPT]


def examine(orders: Orders, promises: Sequence[Promise]) -> Examination:
    """Test promises, then undo everything that was made."""
    tested: list[Row] = []
    code = None
    try:
        _greet(orders)
        _test(orders, promises, tested)
    except UnreachableError as error:
        report.note(f"✗ {orders.provider}: {error}")
        code = _NO_PROVIDER
    except KeyboardInterrupt:
        report.note(f"{orders.provider}: interrupted, {len(promises) - len(tested)} not tested")
        code = _INTERRUPTED
    left: list[str] = []
    try:
        if orders.references:
            report.note(f"{orders.provider}: undoing {len(orders.references)} references")
            left = orders.undo()
    except KeyboardInterrupt:
        left, code = [orders.all_of_run("interrupted")], _INTERRUPTED
    if code is None and any(row.verdict is Verdict.BROKEN for row in tested):
        code = _BROKEN
    return Examination(tested, left, code or (_NOT_UNDONE if left else _HOLDS))


def _tested(name: str, url: str, given: argparse.Namespace, inputs: Inputs) -> int:
    key, contract = os.environ[_key_name(name)], Contract(name)
    with Api(contract, url, key, timeout_s=given.timeout, patience_s=given.patience) as api:
        promises = promises_of(
            name, fuzz_seconds=given.fuzz_seconds, fuzz_examples=given.fuzz_examples
        )
        chosen = [one for one in promises if not given.only or one.name in given.only]
        orders = _SIDES[name][0](api, inputs)
        found = examine(orders, chosen)
    if found.rows or found.left:
        report.print_table(orders, found.rows, found.left)
    return found.code


def _test(orders: Orders, promises: Sequence[Promise], tested: list[Row]) -> None:
    for number, promise in enumerate(promises, start=1):
        row = judge(promise, orders)
        tested.append(row)
        report.progress(orders.provider, number, len(promises), row)


def _greet(orders: Orders) -> None:
    """
    Raises:
        UnreachableError: there is no such provider there, or it does not know us.
    """
    url, key = orders.api.url, _key_name(orders.provider)
    try:
        answer = orders.api.ask("GET", orders.path, query={"reference": "kit"}, attempts=1)
    except BrokenError as error:
        raise UnreachableError(f"{url} does not answer: {error}") from None
    except UnreachableError as error:
        raise UnreachableError(f"no connection to {url}: {error}") from None
    if answer.status in (401, 403):
        raise UnreachableError(f"{url} refuses the key of {key} ({answer.status})")
    if answer.status >= 500 or answer.status == 429:
        raise UnreachableError(f"{url} is out of service ({answer.status}): try again later")
    if not _is_ours(answer):
        raise UnreachableError(
            f"{url}{orders.path} is another service: {answer.status}, no JSON of the contract"
        )
    _try_inputs(orders)


def _try_inputs(orders: Orders) -> None:
    """
    Raises:
        UnreachableError: the sandbox refuses the test inputs, so that nothing could be tested.
    """
    reference = orders.new_reference()
    try:
        answer = orders.post(reference, orders.new_key())
    except BrokenError as error:
        raise UnreachableError(f"{orders.api.url} does not answer: {error}") from None
    if 400 <= answer.status < 500:
        raise UnreachableError(f"the test input is refused, {answer.said}: give {orders.options}")
    try:
        made = orders.wait_for(orders.shown(answer, reference), lambda status: status != "pending")
    except BrokenError:
        return  # the promises name it
    if made["status"] != orders.taken:
        raise UnreachableError(f"the test input is {made['status']}: give {orders.options}")


def _is_ours(answer: Answer) -> bool:
    return isinstance(answer.body, dict) and not 300 <= answer.status < 400


def _key_name(provider: str) -> str:
    return f"{provider.upper()}_KEY"


def _problem(urls: dict[str, str], given: argparse.Namespace) -> str | None:
    """Return the reason why this cannot be run."""
    if not any(urls.values()):
        return "give --payments-url, --supplier-url or both (make: PAYMENTS_URL=, SUPPLIER_URL=)"
    for name, url in urls.items():
        if url and (problem := _problem_of_url(url)):
            return f"--{name}-url {problem}"
        key = os.environ.get(_key_name(name), "")
        if url and not (key and key.isascii() and key.isprintable() and " " not in key):
            return f"{_key_name(name)} is not set to a key in the environment"
    known = {
        one.name for name in _SIDES for one in promises_of(name, fuzz_seconds=0, fuzz_examples=0)
    }
    if unknown := set(given.only or ()) - known:
        return f"no promise {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}"
    return _problem_of_inputs(given)


def _problem_of_url(url: str) -> str | None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "is no address that begins with http:// or https://"
    if "@" in parts.netloc or parts.query or parts.fragment:
        return "may have no user, query or fragment"
    return None


def _problem_of_inputs(given: argparse.Namespace) -> str | None:
    for name, least in _LEAST.items():
        if not getattr(given, name) >= least:
            return f"--{name.replace('_', '-')} is less than {least}"
    if not _are_in_order(given.starts_on, given.ends_on):
        return "--starts-on and --ends-on are no two dates in order, as 2027-05-01"
    return None if _is_enough(given.amount) else "--amount is less than 10 of its smallest units"


def _are_in_order(starts_on: str, ends_on: str) -> bool:
    try:
        return date.fromisoformat(starts_on) <= date.fromisoformat(ends_on)
    except ValueError:
        return False


def _is_enough(amount: str) -> bool:
    try:
        return Decimal(amount).scaleb(len(amount.partition(".")[2])) >= 10
    except InvalidOperation:
        return False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.conformance",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name in _SIDES:
        parser.add_argument(f"--{name}-url", default="", metavar="URL", help=f"sandbox of {name}")
    parser.add_argument(
        "--only", action="append", metavar="PROMISE", help="test this one; again for more"
    )
    add = parser.add_argument_group("limits").add_argument
    add("--timeout", type=float, default=30, metavar="S", help="wait for one answer (30)")
    add("--patience", type=float, default=300, metavar="S", help="wait until a row is listed (300)")
    add(
        "--fuzz-seconds",
        type=int,
        default=300,
        metavar="S",
        help="schemathesis at most (300; 0: off)",
    )
    add(
        "--fuzz-examples", type=int, default=25, metavar="N", help="its requests per operation (25)"
    )
    add = parser.add_argument_group("test inputs").add_argument
    for one in fields(Inputs):
        option, about = f"--{one.name.replace('_', '-')}", f"{one.metadata['help']} ({one.default})"
        add(option, type=type(one.default), default=one.default, metavar="X", help=about)
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # undo, as after Ctrl-C
    sys.exit(main())
