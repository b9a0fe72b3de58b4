"""The documents agree with the code, and everything they name exists."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from reservations import config
from reservations.application.look_up_reservation import LookedUp
from reservations.application.receive_webhook import Received
from reservations.domain.facts import Outcome
from reservations.domain.reservation import MailFeedback, MailStatus
from reservations.entrypoints.observability import metric_of
from tools import documents

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OPS = ROOT / "ops"

THREATS = ["Suplantación", "Manipulación", "Repudio", "Fuga", "Denegación", "Elevación"]
# Our documents must make sense to a reader who has only this repository.
ELSEWHERE = re.compile(
    r"/work/|/tmp/|\.\./shared|(design|semantics|style|platform|peers)\.md|\b[\w.-]*pypi\.org"
)


def read(*parts: str) -> str:
    return DOCS.joinpath(*parts).read_text(encoding="utf-8")


def test_a_generated_document_is_the_one_that_code_declares() -> None:
    assert documents.outdated() == [], "run `make docs`"


def test_the_guides_name_the_versions_of_the_generators_that_are_tested() -> None:
    packages = json.loads((ROOT / "tests" / "clients" / "package.json").read_text())
    pinned = packages["devDependencies"] | pinned_in("clients.lock")
    for guide in ("guia-integracion.md", "integration-guide.md"):
        named = re.findall(r"(?<= )([@\w/-]+?)(?:@|==)(\d+\.\d+\.\d+)", read(guide))
        assert len(set(named)) == 6
        assert {name: pinned[name] for name, _ in named} == dict(named)


def pinned_in(lock: str) -> dict[str, str]:
    text = (ROOT / "local" / "locks" / lock).read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w-]+)==(\S+)", text, re.MULTILINE))


def test_every_metric_the_code_counts_is_explained_and_no_other() -> None:
    code = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("functions", "layers/core")
        for path in (ROOT / folder).rglob("*.py")
    )
    counted = set(re.findall(r'(?:\bcount(?:_defect)?\(|\bmetric=)"(\w+)"', code))
    families = set(re.findall(r'\b(?:metric=f|metric_of\()"(\w+)', code))
    assert families == {"Provider", "Mail", "Webhook", "Lookup"}
    counted |= {f"Provider{outcome.__name__}" for outcome in get_args(Outcome)}
    counted |= {metric_of("Mail", s) for s in MailStatus if s is not MailStatus.STARTED}
    counted |= {metric_of("Mail", feedback) for feedback in MailFeedback}
    counted |= {metric_of("Webhook", received) for received in Received}
    counted |= {metric_of("Lookup", looked_up) for looked_up in LookedUp}

    assert set(re.findall(r"^\| `(\w+)` \|", read("06-qa-testing.md"), re.MULTILINE)) == counted


def test_a_document_without_its_place_is_an_error(tmp_path: Path) -> None:
    block = documents.Block(documents.ROOT / "no-existe.md", "errores", documents.errors)
    with pytest.raises(ValueError, match="0 places"):
        block.replaced("no hay sitio")


def points_under(title: str) -> dict[str, dict[str, str]]:
    """The labelled points of each part of a section of docs/03, by the part's heading."""
    section = read("03-seguridad.md").split(f". {title}\n")[1].split("\n## ")[0]
    _, *parts = section.split("\n### ")
    return {
        part.splitlines()[0]: dict(re.findall(r"^- \*\*(.+?):\*\* (.+)$", part, re.MULTILINE))
        for part in parts
    }


def test_each_row_of_stride_and_owasp_names_an_existing_test() -> None:
    stride = points_under("Fronteras de confianza (STRIDE)")
    owasp = points_under("OWASP API Security Top 10 (2023)")

    assert all(list(points) == [*THREATS, "Prueba"] for points in stride.values())
    assert [row.split()[0] for row in owasp] == [f"API{number}" for number in range(1, 11)]
    for row, points in [*stride.items(), *owasp.items()]:
        named = re.findall(r"`(tests/[\w/.]+)`", points["Prueba"])
        assert named, row
        assert [path for path in named if not (ROOT / path).exists()] == []


def test_governance_lists_exactly_the_adrs_there_are() -> None:
    listed = re.findall(r"\]\(ADR/([^)]+)\)", read("04-gobernanza.md"))
    assert listed == sorted(path.name for path in DOCS.glob("ADR/*.md"))


def test_no_document_refers_to_things_outside_the_repository() -> None:
    files = [path for path in DOCS.rglob("*") if path.is_file()] + [ROOT / "SECURITY.md"]
    assert [path.name for path in files if ELSEWHERE.search(path.read_text(encoding="utf-8"))] == []


def test_every_link_between_documents_leads_somewhere() -> None:
    broken = [
        f"{path.name}: {target}"
        for path in DOCS.rglob("*.md")
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))
        if not (path.parent / target).exists()
    ]
    assert broken == []


def make_targets_in(text: str) -> set[str]:
    """Targets of make commands in code spans, after a gate's `check:`, or at the start of a line of code."""
    spans = re.findall(r"`[^`\n]+`|check: .+", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = re.findall(r"^(?:\$ )?(make [a-z-]+)", text, re.MULTILINE)
    return set(re.findall(r"\bmake ([a-z][a-z-]*)", "\n".join([*spans, *lines])))


def test_every_make_command_in_the_documents_is_a_target() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    documents = [*DOCS.rglob("*.md"), *DOCS.rglob("*.yaml"), *ROOT.glob("*.md")]
    named = {path.name: make_targets_in(path.read_text("utf-8")) for path in documents}

    assert {"run", "test", "ops"} <= set().union(*named.values())
    assert [
        (name, found - set(targets)) for name, found in named.items() if found - set(targets)
    ] == []


def test_the_readme_lists_every_variable_that_a_user_may_set_and_no_other() -> None:
    local = [*(ROOT / "local").glob("*.py"), ROOT / "local" / "bootstrap.sh"]
    files = [*local, ROOT / "Makefile", ROOT / "docker-compose.yml", *OPS.glob("*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    read = re.findall(
        r'environ\.get\("([A-Z_]+)"|\$\{([A-Z_]+):-|^([A-Z_]+) \?=|envvar="([A-Z_]+)"',
        text,
        re.MULTILINE,
    )
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.split("| Variable |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    chosen = {name for found in read for name in found if name}

    ours = {"NO_PROXY", "AWS_ENDPOINT_URL", "OPS_LOGS"}  # our own code sets them
    assert listed == chosen - ours


def test_the_example_settings_for_a_deployment_are_valid_and_complete() -> None:
    text = (DOCS / "despliegue-aws.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| (\w+) \| `(.+?)` \|", text, re.MULTILINE)
    declared = dict(re.findall(r"SSM `…/([a-z-]+)` \| (sí|no)", documents.settings()))
    # The template writes the clients, their modes and limits. Another table documents the database.
    of_the_template = {
        "api-clients": "{}",
        "client-modes": "{}",
        "mails-per-hour": '{"address": 3, "client": 500}',
    }
    wanted = declared.keys() - {"database-url"} - of_the_template.keys()
    path = config.ParameterPath(settings_path="/reservations/prod")
    values = {path.name_of(name): value for name, _, value in rows}
    models = [
        model
        for model in documents.sources()
        if {model.parameter(field).replace("_", "-") for field in model.model_fields}
        <= wanted | of_the_template.keys()
    ]

    written = {path.name_of(name): value for name, value in of_the_template.items()}
    config.from_parameters(models, path, lambda _: values | written)

    kinds = {"sí": "SecureString", "no": "String"}
    assert {name: kind for name, kind, _ in rows} == {n: kinds[declared[n]] for n in wanted}
