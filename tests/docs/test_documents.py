"""The documents say what the code declares, and hold what their gate asks of them."""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from reservations import config
from reservations.application.receive_webhook import Received
from reservations.domain.facts import Outcome
from reservations.domain.reservation import MailFeedback, MailStatus
from reservations.entrypoints.observability import metric_of
from reservations.entrypoints.problems import CATALOGUE
from tools import documents

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OPS = ROOT / "ops"
ADRS = sorted((DOCS / "ADR").glob("*.md"))
RUNBOOKS = sorted((DOCS / "runbooks").glob("*.md"))

STRIDE = "Fronteras de confianza (STRIDE)"
OWASP = "OWASP API Security Top 10 (2023)"
THREATS = ["Suplantación", "Manipulación", "Repudio", "Fuga", "Denegación", "Elevación"]
BOUNDARIES = [
    "Internet → puerta",
    "Puerta → funciones",
    "Funciones → MySQL",
    "Funciones → SQS/S3/SES/SSM",
    "Funciones → pagos y proveedor",
    "Pagos y proveedor → webhooks",
    "SES → tema → cola → `record_mail_event`",
    "CloudFormation y CI → `migrate_database`",
    "Operación → base y colas",
]

# What each document must hold, by the gate of its phase.
SECTIONS = {
    "00-etapa-0-contexto.md": [
        "Problema", "Actores", "Glosario", "Alcance", "Estados",
        "Fichas de dependencias", "Supuestos", "Riesgos", "Conflictos entre documentos, decididos",
    ],
    "01-etapa-1-requerimientos.md": [
        "Requisitos funcionales", "Requisitos no funcionales", "Decisión: cuándo 202 y cuándo 200",
        "Idempotencia", "Catálogo de errores", "Ajustes", "Privacidad y registros",
    ],
    "03-seguridad.md": [
        STRIDE, OWASP, "Límites de entrada",
        "Datos personales", "Secretos", "Cadena de suministro", "Lo que todavía no hay",
    ],
    "04-gobernanza.md": ["Roles", "Decisiones", "Versiones", "Entregas y vuelta atrás", "Bitácora"],
    "05-tolerancia-fallos.md": [
        "Tiempos por llamada", "Modos de fallo", "Estados intermedios", "Plan de pruebas",
    ],
    "06-qa-testing.md": [
        "Matriz", "Hecho significa", "Cobertura mínima", "Contratos de las API externas",
    ],
    "07-stress.md": ["Método", "Escenarios", "Límites propuestos"],
    "08-performance.md": ["SLO", "Decisiones", "Plan de medida", "Plan de optimización, por orden"],
}  # fmt: skip
RUNBOOK_SECTIONS = ["Primeros cinco minutos", "Comandos", "Comprobación", "Vuelta atrás"]
ADR_SECTIONS = ["Contexto", "Opciones", "Decisión", "Consecuencias", "Revisar cuando"]
GHERKIN = re.compile(
    r"# language: es$|Característica: |  Escenario: |    (Dad[oa]s?|Cuando|Entonces|Y|E|Pero) "
)
LOG_FIELDS = [
    "Qué cambió",
    "Por qué",
    "Impacto",
    "Pruebas",
    "Docs actualizadas",
    "Riesgos",
    "Rollback",
]
# A document of ours must make sense to whoever has only this repository.
ELSEWHERE = re.compile(
    r"/work/|/tmp/|\.\./shared|(design|semantics|style|platform|peers)\.md|\b[\w.-]*pypi\.org"
)


def read(*parts: str) -> str:
    return DOCS.joinpath(*parts).read_text(encoding="utf-8")


def headings(text: str) -> list[str]:
    return [
        re.sub(r"^[\d.]+ ", "", title) for title in re.findall(r"^## (.+)$", text, re.MULTILINE)
    ]


@pytest.mark.parametrize("path", documents.documents(), ids=lambda path: path.name)
def test_a_generated_document_is_the_one_that_code_declares(path: Path) -> None:
    expected = documents.documents()[path]
    assert path.read_text(encoding="utf-8") == expected, "run `make docs`"


def test_every_metric_the_code_counts_is_explained_and_no_other() -> None:
    code = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("functions", "layers/core")
        for path in (ROOT / folder).rglob("*.py")
    )
    counted = set(re.findall(r'(?:\bcount\(|\bmetric=)"(\w+)"', code))
    families = set(re.findall(r'\b(?:metric=f|metric_of\()"(\w+)', code))
    assert families == {"Provider", "Mail", "Webhook"}
    counted |= {f"Provider{outcome.__name__}" for outcome in get_args(Outcome)}
    counted |= {metric_of("Mail", s) for s in MailStatus if s is not MailStatus.STARTED}
    counted |= {metric_of("Mail", feedback) for feedback in MailFeedback}
    counted |= {metric_of("Webhook", received) for received in Received}

    assert set(re.findall(r"^\| `(\w+)` \|", read("06-qa-testing.md"), re.MULTILINE)) == counted


def test_a_document_without_its_place_is_an_error(tmp_path: Path) -> None:
    block = documents.Block(documents.ROOT / "no-existe.md", "errores", documents.errors)
    with pytest.raises(ValueError, match="0 places"):
        block.replaced("no hay sitio")


def test_the_contract_lists_the_catalogue_of_the_code_in_its_order() -> None:
    contract = yaml.safe_load(read("contratos", "openapi.yaml"))
    assert contract["components"]["schemas"]["ProblemCode"]["enum"] == list(CATALOGUE)


@pytest.mark.parametrize("name", SECTIONS, ids=lambda name: f"stage_{int(name[:2])}")
def test_a_stage_document_has_what_its_gate_asks(name: str) -> None:
    found = headings(read(name))
    assert [section for section in SECTIONS[name] if section not in found] == []


def test_stage_0_has_a_full_sheet_for_every_dependency() -> None:
    section = read("00-etapa-0-contexto.md").split("Fichas de dependencias")[1].split("\n## ")[0]
    sheets = section.split("\n### ")[1:]
    assert len(sheets) == 7
    for sheet in sheets:
        for part in ("**Contrato:**", "**Fallos previstos:**", "**Banco de pruebas:**"):
            assert part in sheet, sheet.splitlines()[0]


def test_stage_2_has_every_story_with_scenarios_data_edges_and_states() -> None:
    text = read("02-etapa-2-historias-usuario.md")
    stories = re.split(r"^## (HU-\d\d)", text, flags=re.MULTILINE)[1:]
    named = dict(zip(stories[::2], stories[1::2], strict=True))
    assert list(named) == [f"HU-{number:02}" for number in range(1, 12)]
    for name, story in named.items():
        assert story.count("Escenario:") >= 2, name
        assert "# language: es" in story, name
        assert "**Bordes:**" in story, name
        assert "**Estados internos:**" in story, name
        for line in "".join(re.findall(r"```gherkin\n(.*?)```", story, re.DOTALL)).splitlines():
            assert not line.strip() or GHERKIN.match(line), line


def points_under(title: str) -> dict[str, dict[str, str]]:
    """The labelled points of each part of a section of docs/03, by the part's heading."""
    section = read("03-seguridad.md").split(f". {title}\n")[1].split("\n## ")[0]
    _, *parts = section.split("\n### ")
    return {
        part.splitlines()[0]: dict(re.findall(r"^- \*\*(.+?):\*\* (.+)$", part, re.MULTILINE))
        for part in parts
    }


def test_stage_3_answers_every_risk_of_owasp() -> None:
    risks = points_under(OWASP)
    assert [name.split()[0] for name in risks] == [f"API{number}" for number in range(1, 11)]
    for name, points in risks.items():
        controls, rest = list(points)[:-2], list(points)[-2:]
        assert controls, name
        assert rest == ["Dónde", "Prueba"], name


def test_stage_3_weighs_every_threat_at_every_boundary() -> None:
    boundaries = points_under(STRIDE)
    assert list(boundaries) == BOUNDARIES
    for name, points in boundaries.items():
        assert list(points) == [*THREATS, "Prueba"], name


@pytest.mark.parametrize("title", [STRIDE, OWASP], ids=["stride", "owasp"])
def test_stage_3_names_existing_tests_for_every_part(title: str) -> None:
    for heading, points in points_under(title).items():
        assert all(re.search(r"\w", point) for point in points.values()), heading
        named = re.findall(r"`(tests/[\w/.]+)`", points["Prueba"])
        assert named, heading
        assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", ["../SECURITY.md", "contenedores.md", "despliegue-aws.md"])
def test_stage_3_lists_what_another_document_says_is_missing(document: str) -> None:
    assert f"]({document})" in read("03-seguridad.md").split(". Lo que todavía no hay\n")[1]


@pytest.mark.parametrize("path", ADRS, ids=lambda path: path.stem)
def test_an_adr_weighs_options_and_says_when_to_look_again(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = [title.split(",")[0] for title in headings(text)]
    assert [section for section in ADR_SECTIONS if section not in found] == []
    assert text.split("## Revisar cuando")[1].strip()


def test_governance_lists_exactly_the_adrs_there_are() -> None:
    listed = re.findall(r"\]\(ADR/([^)]+)\)", read("04-gobernanza.md"))
    assert listed == [path.name for path in ADRS]


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_can_be_followed_by_somebody_woken_at_night(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = headings(text)
    assert found[0].startswith("Síntomas")
    assert [section for section in RUNBOOK_SECTIONS if section not in found] == []
    assert "**Rol:**" in text


def test_the_failure_table_names_runbooks_that_exist() -> None:
    named = set(
        re.findall(r"`([\w-]+\.md)`", read("05-tolerancia-fallos.md").split("Modos de fallo")[1])
    )
    runbooks = {path.name for path in RUNBOOKS}
    assert runbooks <= named


def test_every_logbook_entry_has_all_its_fields() -> None:
    entries = read("bitacora.md").split("\n## ")[1:]
    assert entries
    for entry in entries:
        assert [field for field in LOG_FIELDS if f"**{field}:**" not in entry] == []


def test_the_security_policy_says_how_to_report_and_what_is_missing() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    expected = {
        "Supported versions",
        "Reporting a vulnerability",
        "Hardening",
        "Known gaps",
    }
    assert expected <= set(headings(text))
    assert "@" not in text


def test_no_document_points_to_what_a_reader_does_not_have() -> None:
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
    """What is called as a command: in a code span, after a gate's `check:`, or at the start of a line of code."""
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
    ours = [*local, ROOT / "Makefile", ROOT / "docker-compose.yml", *OPS.glob("*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in ours)
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

    assert listed == chosen - {"NO_PROXY"}  # which is only added to


def test_the_examples_of_what_must_be_written_before_a_deployment_are_valid_and_whole() -> None:
    text = (DOCS / "despliegue-aws.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| (\w+) \| `(.+?)` \|", text, re.MULTILINE)
    declared = dict(re.findall(r"SSM `…/([a-z-]+)` \| (sí|no)", documents.settings()))
    # The template writes the clients; of the database another table tells.
    wanted = declared.keys() - {"api-clients", "database-url"}
    path = config.ParameterPath(settings_path="/reservations/prod")
    values = {path.name_of(name): value for name, _, value in rows}
    models = [
        model
        for model in documents.sources()
        if {model.parameter(field).replace("_", "-") for field in model.model_fields}
        <= wanted | {"api-clients"}
    ]

    config.from_parameters(models, path, lambda _: {**values, path.name_of("api_clients"): "{}"})

    kinds = {"sí": "SecureString", "no": "String"}
    assert {name: kind for name, kind, _ in rows} == {n: kinds[declared[n]] for n in wanted}
