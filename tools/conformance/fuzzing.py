"""The last promise: schemathesis finds no answer that breaks the contract."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from local.paths import ROOT, STATE, VENVS
from tools.conformance.orders import Orders, has_texts
from tools.conformance.verdicts import NotObservableError, Promise, require

_HERE = Path(__file__).parent
_PROGRAM = VENVS / "security" / "bin" / "schemathesis"
# Nothing of ours needs a provider to refuse invalid requests or other methods.
_NO_PROMISES = "negative_data_rejection,unsupported_method,allow_header_conformance"
_SHOWN = 3  # failures in the table; all are in the file


def fuzz(orders: Orders, *, seconds: int, examples: int) -> str:
    """Run schemathesis for at most `seconds`, with `examples` random requests for each operation."""
    if not seconds:
        raise NotObservableError("switched off by --fuzz-seconds 0")
    if not _PROGRAM.exists():
        raise NotObservableError("schemathesis is not installed: make security-tools")
    folder = STATE / "conformance"
    folder.mkdir(parents=True, exist_ok=True)
    output, report = (folder / f"{orders.provider}.{kind}" for kind in ("txt", "json"))
    report.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary) / "made"
        made.touch()
        try:
            code = _run(orders, output, report, made, seconds=seconds, examples=examples)
        finally:
            for reference, row in map(json.loads, made.read_text("utf-8").splitlines()):
                orders.references[reference] = None
                if has_texts(row, orders.members):
                    orders.remember(row)
    if code not in (0, 1) or not report.exists():
        raise NotObservableError(f"schemathesis ended with {code}: {output.relative_to(ROOT)}")
    return _verdict(json.loads(report.read_text("utf-8")), code, output)


def _run(
    orders: Orders, output: Path, report: Path, made: Path, *, seconds: int, examples: int
) -> int:
    environment = os.environ | {
        "CONFORMANCE_KEY": orders.api.key,
        "CONFORMANCE_MADE": str(made),
        "PYTHONPATH": str(ROOT),
        "SCHEMATHESIS_HOOKS": "tools.conformance.hooks",
    }
    command = [str(_PROGRAM), "--config-file", str(_HERE / "schemathesis.toml"), "run"]
    command += [str(orders.api.contract.path), "--url", orders.api.url, "--seed", "1"]
    command += ["--checks", "all", "--exclude-checks", _NO_PROMISES]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", str(examples)]
    command += ["--report", "json", "--report-json-path", str(report)]
    with output.open("w", encoding="utf-8") as file:
        try:
            return subprocess.call(
                command,
                env=environment,
                cwd=STATE / "conformance",
                stdout=file,
                stderr=file,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            raise NotObservableError(
                f"schemathesis did not end in {seconds} s: --fuzz-seconds"
            ) from None


def _verdict(report: dict[str, Any], code: int, output: Path) -> str:
    found = [
        f"{failure['title']} ({', '.join(failure['operations'])})" for failure in report["failures"]
    ]
    found += [error["title"] for error in report["errors"]]
    where = output.relative_to(ROOT)
    require(code == 0, f"{'; '.join(found[:_SHOWN]) or 'errors'}: {where}")
    cases = report["test_cases"]["generated"]
    return f"{cases} requests, seed {report['seed']}"


def promise(*, seconds: int, examples: int) -> Promise:
    return Promise(
        "schemathesis",
        "Random requests get only answers of the contract.",
        "We cannot read it: unknown outcome and alarm.",
        lambda orders: fuzz(orders, seconds=seconds, examples=examples),
    )
