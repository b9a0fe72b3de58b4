"""Write the parts of the documents that code declares; with `--check`, only compare.

A table between `generado:<name>` and `/generado` marks belongs to this module; all else to people.
"""

import argparse
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from local.template import SIZES, in_size, name_of, resources
from reservations import config
from reservations.adapters.mysql.idempotency import KEPT as KEYS_KEPT
from reservations.adapters.mysql.tables import METADATA
from reservations.application import clean_up
from reservations.domain.contradictions import believed_after
from reservations.domain.decisions import ANSWERS
from reservations.domain.facts import Decision, Kind, Reason
from reservations.domain.history import INTERNAL
from reservations.domain.policy import SHORT, STANDARD, Policy
from reservations.domain.reservation import Language
from reservations.domain.standing import FOR_TRAVELERS
from reservations.domain.views import PROGRESS
from reservations.domain.words import (
    CLOSED_REASON,
    FINAL,
    FINAL_STATE,
    NEXT_PUBLIC_STATUSES,
    NEXT_STATES,
    PUBLIC_STATUS_OF_REASON,
    PUBLIC_STATUS_OF_STATE,
    PublicStatus,
    Review,
    State,
)
from reservations.entrypoints.problems import CATALOGUE, Problem
from reservations.texts.compiled import FAULTS, TIMELINE
from tools import release_odds, throughput
from tools.rights import DEPLOYER, Right, rights

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

_YAML_WIDTH = 110
_EXAMPLE_ID = "0195a0b0-1c2d-7e3f-8a4b-5c6d7e8f9a0e"

OPENAPI = DOCS / "contratos" / "openapi.yaml"
_ENGLISH = DOCS / "contratos" / "textos" / "openapi-en.yaml"
DIAGRAM = DOCS / "diagramas" / "flujo-reservas.mmd"

_MEANINGS = {
    State.CREATED: "viva: ningún cargo empezado",
    State.PAYMENT_IN_PROGRESS: "viva: cargo empezado, ninguno que se conserve",
    State.PAID: "viva: se conserva un cargo y ninguna reserva del proveedor",
    State.SUPPLIER_CONFIRMED: "viva: se conservan un cargo y una reserva del proveedor",
    State.CANCELLATION_IN_PROGRESS: "cerrada: cargo abierto, o reserva del proveedor abierta o viva",
    State.REFUND_IN_PROGRESS: "cerrada: nada de lo anterior, pero tenemos dinero",
    State.REFUNDED: "cerrada: no tenemos dinero y algo se reembolsó",
    State.PAYMENT_FAILED: "cerrada: nunca tuvimos dinero",
    State.EXPIRED: "cerrada: nunca tuvimos dinero",
    State.CANCELLED: "cerrada: nunca tuvimos dinero",
}
_REASONS = {
    Reason.PAYMENT_DECLINED: "pagos rechazó el cargo, o lo anuló sin que lo pidiéramos",
    Reason.SUPPLIER_REJECTED: "el proveedor rechazó, o no la tuvo en todo su plazo",
    Reason.SUPPLIER_CANCELLED: "el proveedor canceló lo que había confirmado",
    Reason.CUSTOMER_CANCELLED: "el viajero canceló",
    Reason.EXPIRED: "acabaron la retención y su gracia",
}

# The provider's word, and the saga's reaction without a person.
_CONTRADICTIONS = {
    Kind.BOOKING_ABSENT: (
        "la plaza que se conserva no está en su listado",
        "no cancela ninguna otra plaza",
    ),
    Kind.BOOKING_CHANGED: (
        "otro estado, otras fechas o precio, o identificador en otras mayúsculas",
        "no cancela ninguna otra plaza",
    ),
    Kind.BOOKING_ALIVE: ("una plaza cancelada sigue viva", "no empieza ningún reembolso"),
    Kind.PAYMENT_ABSENT: (
        "un cargo cobrado no está en su listado, o está anulado",
        "no reembolsa, no reserva y no cobra otra vez",
    ),
    Kind.PAYMENT_CHANGED: (
        "otro estado de un cargo cobrado, o identificador en otras mayúsculas",
        "no reembolsa, no reserva y no cobra otra vez",
    ),
    Kind.FOREIGN_REFUND: (
        "un reembolso que no pedimos, o una suma reembolsada sin explicar",
        "nada; cerrada la reserva, reembolsa el resto",
    ),
    Kind.REFUND_FAILED: (
        "un reembolso nuestro, ya hecho, está rechazado, pendiente o falta",
        "un segundo reembolso, si está rechazado con seguridad",
    ),
    Kind.DISPUTE: (
        "el pagador reclamó a su banco, o ganó la reclamación",
        "no reembolsa ese pago hasta que la ganemos",
    ),
    Kind.OTHER_SUM: (
        "otro importe o moneda, de un cargo o de un reembolso",
        "no reserva ni reembolsa ese cargo",
    ),
}
_SOMETIMES_FOR_TRAVELERS = {
    Kind.FOREIGN_REFUND: "si devuelve el pago entero",
    Kind.REFUND_FAILED: "si no sale otro reembolso solo",
}
_DECISIONS = {
    Decision.PAID: "se acepta el importe, nunca otra moneda, y el viaje sigue",
    Decision.NOT_CHARGED: "el cargo cuenta como rechazado; si aparece, se reembolsa",
    Decision.REFUNDED: "el reembolso cuenta como hecho, y no sale otro",
    Decision.BOOKED: "la plaza cuenta como confirmada",
    Decision.NOT_BOOKED: "la plaza cuenta como rechazada; si aparece, se cancela",
    Decision.CANCELLED: "la plaza cuenta como cancelada, y el dinero se reembolsa",
    Decision.STANDS: "no cambia nada, y lo detenido se reanuda",
    Decision.GONE: "se pide cancelar la plaza, se reembolsa y acaba CANCELADA",
    Decision.REBOOKED: "el viaje sigue con la plaza nueva, y con otro bono",
    Decision.HONOURED: "la reserva queda como está, y la pérdida es nuestra",
    Decision.REFUND_AGAIN: "sale otro reembolso, de lo que queda",
    Decision.RETURNED: "el viajero ya tiene esa suma, y no se reembolsa; se niega si hay uno en curso",
}

_EFFECTS = {"none": "nada", "unknown": "no se sabe", "accepted": "ocurrió"}


def permissions() -> str:
    granted = rights()
    holders: dict[Right, list[str]] = {}
    for folder, some in granted.items():
        for right in some:
            holders.setdefault(right, []).append(f"`{folder}`")
    rows = [
        ["todas" if len(folders) == len(granted) else ", ".join(folders), *right.cells()]
        for right, folders in holders.items()
    ]
    deployer = ["CodeDeploy, en un despliegue gradual", *DEPLOYER.cells()]
    return table(["Función", "Acción", "Sobre", "Por qué hay un `*`"], [*rows, deployer])


def spoken(value: object) -> str:
    """A duration as people say it; anything else as it is."""
    if isinstance(value, tuple):
        return ", ".join(spoken(each) for each in value)
    if not isinstance(value, timedelta):
        return str(value)
    seconds = value.total_seconds()
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def durations() -> str:
    meanings = get_type_hints(Policy, include_extras=True)
    rows = [
        [
            f"`{field.name}`",
            meanings[field.name].__metadata__[0],
            spoken(getattr(STANDARD, field.name)),
            spoken(getattr(SHORT, field.name)),
        ]
        for field in fields(STANDARD)
    ]
    limits = [
        [
            f"`{provider}_{limit}`",
            _meaning(field),
            *(f"{getattr(row.limits[profile], limit):g} s" for profile in config.PROFILES),
        ]
        for provider, row in config.PROVIDERS.items()
        for limit, field in config.CallLimits.model_fields.items()
    ]
    return table(["Ajuste", "Qué es", "Estándar", "Corto"], [*rows, *limits])


def _meaning(field: FieldInfo) -> str:
    assert field.description, "a setting without its meaning"
    return field.description


def settings() -> str:
    rows = [
        [f"`{model.parameter(name)}`", *_origin(model, name), _meaning(field)]
        for model in sources()
        for name, field in model.model_fields.items()
    ]
    return table(["Ajuste", "Dónde", "Secreto", "Qué es"], rows)


def sources(model: type[config.Settings] = config.Settings) -> list[type[config.Settings]]:
    """The settings that are read by themselves; a saga's profile is part of `saga_policy`."""
    kinds = [kind for kind in model.__subclasses__() if kind is not config.SagaProfile]
    return [source for kind in kinds for source in sources(kind)] or [model]


def _origin(model: type[config.Settings], name: str) -> tuple[str, str]:
    if issubclass(model, config.EnvironmentSettings):
        return f"variable `{name.upper()}`", "no"
    field = model.model_fields[name]
    secret = field.annotation is SecretStr or field.json_schema_extra
    return f"SSM `…/{model.parameter(name).replace('_', '-')}`", "sí" if secret else "no"


def contradictions() -> str:
    rows = [
        [
            f"`{kind}`",
            _CONTRADICTIONS[kind][0],
            _believed(kind),
            _CONTRADICTIONS[kind][1],
            _SOMETIMES_FOR_TRAVELERS.get(kind, "sí" if Review(kind) in FOR_TRAVELERS else "no"),
        ]
        for kind in Kind
    ]
    head = ["Contradicción", "Qué dice", "Se cree tras", "La saga sola", "`requires_support`"]
    return table(head, rows)


def _believed(kind: Kind) -> str:
    looks, time = believed_after(kind, STANDARD)
    return "1 consulta" if looks == 1 else f"{looks} consultas en {spoken(time)}"


def decisions() -> str:
    rows = [
        [
            f"`{decision}`",
            ", ".join(f"`{review}`" for review in Review if review in ANSWERS[decision]),
            _DECISIONS[decision],
        ]
        for decision in Decision
    ]
    return table(["Decisión", "Responde a", "Dinero y servicio"], rows)


def tables() -> str:
    periods = {**vars(clean_up), "KEYS_KEPT": KEYS_KEPT}
    rows = [
        [
            f"`{name}`",
            declared.info["purpose"],
            declared.info["personal"],
            declared.info["kept"].format_map(periods),
        ]
        for name, declared in METADATA.tables.items()
    ]
    return table(["Tabla", "Para qué", "Datos personales", "Cuánto se guarda una fila"], rows)


def environments() -> str:
    """The environments of each function that may live at once in each size, and their sums."""
    reserved = {
        Path(properties["CodeUri"]).name: [in_size(value, size) for size in SIZES[1:]]
        for properties in resources("AWS::Serverless::Function").values()
        if (value := properties.get("ReservedConcurrentExecutions"))
    }
    rows = [[f"`{folder}`", *map(str, most)] for folder, most in reserved.items()]
    sums = [str(sum(map(int, column))) for column in zip(*reserved.values(), strict=True)]
    return table(["Función", *(f"`{size}`" for size in SIZES[1:])], [*rows, ["suma", *sums]])


def _on_queue() -> dict[str, list[str]]:
    """The queues that each function reads, by its folder."""
    return {
        Path(properties["CodeUri"]).name: [
            name_of(event["Properties"]["Queue"])
            for event in properties.get("Events", {}).values()
            if event["Type"] == "SQS"
        ]
        for properties in resources("AWS::Serverless::Function").values()
    }


def architecture() -> str:
    """The parts of the template and their arrows."""
    lines = [
        "%% Generado por `make docs` desde la plantilla.",
        "flowchart LR",
        "    API[API Gateway]",
    ]
    [rights] = resources("AWS::IAM::ManagedPolicy")["HintSenderPolicy"]["PolicyDocument"][
        "Statement"
    ]
    steps = [name_of(queue) for queue in rights["Resource"]]
    lines += [
        "    subgraph Colas",
        *(f"        {name}[({name})]" for name in steps),
        "    end",
        "    MailEventQueue[(MailEventQueue)]",
    ]
    for properties in resources("AWS::Serverless::Function").values():
        folder = Path(properties["CodeUri"]).name
        kinds = {event["Type"] for event in properties.get("Events", {}).values()}
        if "Api" in kinds:
            lines.append(f"    API --> {folder}")
        if "Schedule" in kinds:
            lines.append(f"    Reloj --> {folder}")
        lines += [f"    {queue} --> {folder}" for queue in _on_queue()[folder]]
        variables = properties.get("Environment", {}).get("Variables", {})
        policies = str(properties["Policies"])
        if "HintSenderPolicy" in policies:
            lines.append(f"    {folder} --> Colas")
        elif "['PaymentQueue', 'QueueName']" in policies:
            lines.append(f"    {folder} --> PaymentQueue")
        if "DOCUMENT_BUCKET" in variables:
            lines.append(f"    {folder} --> S3[(bonos)]")
        if "database-url" in policies:
            lines.append(f"    {folder} --> MySQL[(MySQL)]")
    lines += [
        "    process_payment --> Pagos{{API de pagos}}",
        "    confirm_supplier --> Proveedor{{API del proveedor}}",
        "    notify_customer --> SES{{SES}}",
        "    SES --> MailEventQueue",
    ]
    return "\n".join(lines) + "\n"


def entities() -> str:
    """The tables, their keys and the column by which each belongs to a reservation."""
    lines = ["%% Generado por `make docs` desde las tablas.", "erDiagram"]
    for name, declared in METADATA.tables.items():
        columns = [
            f"        {re.sub(r'[^a-z]', '_', str(column.type).split('(')[0].lower())} {column.name}"
            + (" PK" if column.primary_key else "")
            for column in declared.columns
        ]
        lines += [f"    {name} {{", *columns, "    }"]
        if name != "reservation" and "reservation_id" in declared.columns:
            lines.append(f"    reservation ||--o{{ {name} : tiene")
    return "\n".join(lines) + "\n"


def sequence() -> str:
    """The happy path, each step by the function that reads its queue."""
    reader = {queue: folder for folder, queues in _on_queue().items() for queue in queues}
    steps = (
        ("PaymentQueue", "Pagos", "cargo"),
        ("SupplierQueue", "Proveedor", "reserva"),
        ("VoucherQueue", "S3", "bono PDF"),
        ("NotificationQueue", "SES", "correo con el bono"),
    )
    lines = [
        "%% Generado por `make docs` desde la plantilla.",
        "sequenceDiagram",
        "    Frontend->>create_reservation: JSON, Idempotency-Key",
        "    create_reservation->>MySQL: clave, reserva, historia e indicio, en una transacción",
        "    create_reservation-->>Frontend: 202 EN PROCESO, reservation_code",
    ]
    for queue, other, deed in steps:
        folder = reader[queue]
        lines += [
            f"    poll_outbox->>{queue}: indicio",
            f"    {queue}->>{folder}: revisar la reserva",
            f"    {folder}->>MySQL: apunta la llamada",
            f"    {folder}->>{other}: {deed}",
            f"    {folder}->>MySQL: apunta la respuesta y el indicio siguiente",
        ]
    lines.append("    Frontend->>get_reservation: consulta hasta CONFIRMADA")
    return "\n".join(lines) + "\n"


def steps() -> str:
    return table(["Paso", "CPU ms", "Viajes", "Segundos nuestros"], throughput.seconds_rows())


def queues() -> str:
    """Little's law by queue: seconds of a reservation, places, rate, and places for RNF-03."""
    head = ["Cola o función", "Segundos por reserva", "Sitios", "Reservas/s", "Sitios para RNF-03"]
    return table(head, throughput.queue_rows())


def rates() -> str:
    """Reservations that each size can carry, and its first bottleneck."""
    head = ["`Size`", "Primer cuello", "Reservas/s", "Al día", "Con proveedor de 0,3 s"]
    return table(head, throughput.throughput_rows())


def costs() -> str:
    """The monthly cost of each size at its volume."""
    head = ["`Size`", "Reservas al mes", "Partes, en dólares", "Total"]
    return table(head, throughput.cost_rows())


def prices() -> str:
    """Each price in the total, with the page where it was looked up."""
    rows = [
        [name, f"{each.dollars:.10g}", each.looked_up, each.by, each.source]
        for name, each in throughput.PRICES.items()
    ]
    return table(["Precio", "Dólares", "Consultado", "De quién", "Página"], rows)


def engines() -> str:
    """The price of a million reservations here and with durable functions, and the break-even."""
    head = ["Proveedores", "Aquí, $", "Durable functions, $", "Veces", "Equilibrio al mes"]
    return table(head, throughput.engine_rows())


def odds() -> str:
    """The odds that a release that fails is taken back within ten minutes, by requests a minute."""
    head = ("Por minuto a la función", "Falla 1 de 10: se retira")
    return table(head, release_odds.rows())


def errors() -> str:
    rows = [
        [
            f"`{problem.code}`",
            str(int(problem.status)),
            problem.title(Language.SPANISH),
            f"{problem.retry_after_s} s" if problem.retryable else "no",
            _EFFECTS[problem.effect],
        ]
        for problem in CATALOGUE.values()
    ]
    return table(["Código", "HTTP", "Título", "Repetir", "Efecto"], rows)


_GUIDES = {
    Language.SPANISH: (DOCS / "guia-integracion.md", ["Código", "HTTP", "Título", "Repetir tras"]),
    Language.ENGLISH: (DOCS / "integration-guide.md", ["Code", "HTTP", "Title", "Repeat after"]),
}


def guide_errors(language: Language) -> str:
    rows = [
        [
            f"`{problem.code}`",
            str(int(problem.status)),
            problem.title(language),
            f"{problem.retry_after_s} s" if problem.retryable else "no",
        ]
        for problem in CATALOGUE.values()
    ]
    return table(_GUIDES[language][1], rows)


def guide_faults(language: Language) -> str:
    code, _, title, _ = _GUIDES[language][1]
    return table([code, title], [[f"`{name}`", text] for name, text in FAULTS[language].items()])


def states() -> str:
    """The states, why a reservation closes, and what the public word may become."""
    state_rows = [
        [
            f"`{state}`",
            _MEANINGS[state],
            " · ".join(_words_of(state)),
            f"{PROGRESS[state].payment} / {PROGRESS[state].supplier}",
            "sí" if state in FINAL else "no",
        ]
        for state in State
    ]
    reason_rows = [
        [
            f"`{reason.upper()}`",
            _REASONS[reason],
            PUBLIC_STATUS_OF_REASON[reason],
            f"`{FINAL_STATE[reason]}`",
            f"`{CLOSED_REASON[reason]}`",
        ]
        for reason in Reason
    ]
    word_rows = [
        [word, " · ".join(_in_order(NEXT_PUBLIC_STATUSES[word])) or "nada más"]
        for word in PublicStatus
    ]
    return "\n".join(
        (
            table(
                ["Estado interno", "Hechos", "Estado", "Progreso: pago / proveedor", "Final"],
                state_rows,
            ),
            table(
                [
                    "Motivo de cierre",
                    "Cuándo",
                    "Estado",
                    "Estado interno final, sin reembolso",
                    "Para el viajero",
                ],
                reason_rows,
            ),
            table(["Del estado", "Se puede pasar a"], word_rows),
        )
    )


def _words_of(state: State) -> list[PublicStatus]:
    if state in PUBLIC_STATUS_OF_STATE:
        return [PUBLIC_STATUS_OF_STATE[state]]
    ends_here = {
        PUBLIC_STATUS_OF_REASON[reason] for reason, final in FINAL_STATE.items() if final is state
    }
    words = ends_here or set(PUBLIC_STATUS_OF_REASON.values())
    return _in_order(words if state in FINAL else words | {PublicStatus.EN_CANCELACION})


def _in_order(words: Collection[PublicStatus]) -> list[PublicStatus]:
    return [word for word in PublicStatus if word in words]


def diagram() -> str:
    """The states as a Mermaid diagram: the journey in its order, and every way it ends."""
    journey, ended = list(PUBLIC_STATUS_OF_STATE), [state for state in State if state in FINAL]
    undoing = [state for state in State if state not in {*journey, *ended}]
    reopened = frozenset.intersection(*(NEXT_STATES[state] for state in ended))
    lines = [
        "%% Generado por `make docs` desde las declaraciones de la saga.",
        "stateDiagram-v2",
        f"    [*] --> {journey[0]} : 202 EN PROCESO",
        '    state "Viva" as LIVE {',
        *_edges(journey, journey),
        "    }",
        '    state "Cerrada" as CLOSED {',
        '        state "Final" as ENDED {',
        *(f"            {state}" for state in ended),
        "        }",
        *_edges(undoing, [*undoing, *ended]),
        *(f"        ENDED --> {state} : llega algo tarde" for state in State if state in reopened),
        "    }",
        *(
            f"    LIVE --> CLOSED : {reason} · {word}"
            for reason, word in PUBLIC_STATUS_OF_REASON.items()
        ),
        *(f"    note right of {state} : {word}" for state, word in PUBLIC_STATUS_OF_STATE.items()),
        f"    {State.SUPPLIER_CONFIRMED} --> [*]",
        "    ENDED --> [*]",
    ]
    return "\n".join(lines) + "\n"


def _edges(origins: list[State], ends: list[State]) -> Iterator[str]:
    for origin in origins:
        following = (end for end in ends if end in NEXT_STATES[origin])
        yield from (f"        {origin} --> {end}" for end in following)


def event_types() -> str:
    return _listed(event for event in TIMELINE[Language.SPANISH] if event not in INTERNAL)


def field_error_codes() -> str:
    return _listed(FAULTS[Language.SPANISH])


def problem_codes() -> str:
    return _listed(CATALOGUE)


def _listed(words: Iterable[str]) -> str:
    """A list in a schema of the OpenAPI document."""
    return "".join(f"        - {word}\n" for word in words)


def error_examples() -> str:
    """The examples of the OpenAPI document, with the indentation of the document."""
    text = _yaml(_error_examples(Language.SPANISH))
    return "".join(f"    {line}\n" for line in text.splitlines())


def _error_examples(language: Language) -> dict[str, object]:
    return {problem.code: _example(problem, language) for problem in CATALOGUE.values()}


def _yaml(value: object) -> str:
    return yaml.dump(
        value, Dumper=_WithoutAliases, allow_unicode=True, sort_keys=False, width=_YAML_WIDTH
    )


class _WithoutAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def english_contract(spanish: str) -> str:
    """The OpenAPI document with its prose in English.

    Raises:
        ValueError: a text has no English, or an English text is of no use any more.
    """
    pairs = yaml.safe_load(_ENGLISH.read_text(encoding="utf-8"))
    english = {" ".join(pair["es"].split()): pair["en"] for pair in pairs}
    met: set[str] = set()

    def translated(node: Any) -> Any:
        if isinstance(node, list):
            return [translated(each) for each in node]
        if not isinstance(node, dict):
            return node
        return {name: member(name, value) for name, value in node.items()}

    def member(name: str, value: Any) -> Any:
        if name == "value":  # of an example
            return value
        if name not in ("description", "summary") or not isinstance(value, str):
            return translated(value)
        met.add(text := " ".join(value.split()))
        return english.get(text)

    document = yaml.safe_load(spanish)
    examples = document["components"].pop("examples")
    contract = translated(document)
    if different := sorted(met ^ english.keys()):
        raise ValueError(f"{_ENGLISH.name} lacks a text or has one too many: {different}")
    contract["components"]["examples"] = {**examples, **_error_examples(Language.ENGLISH)}
    return "# Generated from openapi.yaml by `make docs`.\n" + _yaml(contract)


def _example(problem: Problem, language: Language) -> dict[str, object]:
    wrong = [
        {
            "pointer": "/customer/email",
            "code": "malformed_email",
            "message": FAULTS[language]["malformed_email"],
            "params": {},
        }
    ]
    return {
        "summary": problem.title(language),
        "value": {
            "type": problem.type,
            "title": problem.title(language),
            "status": int(problem.status),
            "detail": problem.detail(language),
            "instance": f"urn:uuid:{_EXAMPLE_ID}",
            "code": problem.code,
            "request_id": _EXAMPLE_ID,
            "retryable": problem.retryable,
            "retry_after_s": problem.retry_after_s,
            "effect": problem.effect,
            "errors": wrong if problem.code == "validation_failed" else [],
        },
    }


@dataclass(frozen=True, slots=True)
class Block:
    """One generated part of a document."""

    path: Path
    name: str
    render: Callable[[], str]

    def replaced(self, text: str) -> str:
        """
        Raises:
            ValueError: the document has not exactly one place for this part.
        """
        opening, closing = _marks(self.path, self.name)
        pattern = re.compile(
            rf"(^ *{re.escape(opening)}\n).*?(^ *{re.escape(closing)}$)", re.DOTALL | re.MULTILINE
        )
        body = self.render()
        text, places = pattern.subn(lambda found: found[1] + body + found[2], text)
        if places != 1:
            raise ValueError(
                f"{self.path.relative_to(ROOT)} has {places} places for {self.name}, not one"
            )
        return text


def _marks(path: Path, name: str) -> tuple[str, str]:
    if path.suffix == ".yaml":
        return f"# generado:{name}", "# /generado"
    return f"<!-- generado:{name} -->", "<!-- /generado -->"


BLOCKS = (
    Block(DOCS / "00-etapa-0-contexto.md", "estados", states),
    Block(DOCS / "01-etapa-1-requerimientos.md", "errores", errors),
    Block(DOCS / "01-etapa-1-requerimientos.md", "ajustes", settings),
    Block(DOCS / "02-etapa-2-historias-usuario.md", "tablas", tables),
    Block(DOCS / "03-seguridad.md", "permisos", permissions),
    Block(DOCS / "05-tolerancia-fallos.md", "tiempos", durations),
    Block(DOCS / "05-tolerancia-fallos.md", "contradicciones", contradictions),
    Block(DOCS / "runbooks" / "incidentes.md", "decisiones", decisions),
    Block(DOCS / "08-performance.md", "entornos", environments),
    Block(DOCS / "08-performance.md", "segundos", steps),
    Block(DOCS / "08-performance.md", "colas", queues),
    Block(DOCS / "08-performance.md", "caudal", rates),
    Block(DOCS / "08-performance.md", "coste", costs),
    Block(DOCS / "08-performance.md", "precios", prices),
    Block(DOCS / "ADR" / "ADR-004-saga-en-el-repositorio.md", "motores", engines),
    *(
        Block(DOCS / "parametros" / f"{size}.yaml", "cuentas", partial(throughput.told, size))
        for size in SIZES
    ),
    Block(OPENAPI, "errores", error_examples),
    Block(OPENAPI, "hechos", event_types),
    Block(OPENAPI, "faltas", field_error_codes),
    Block(OPENAPI, "problemas", problem_codes),
    Block(DOCS / "despliegue-aws.md", "retiradas", odds),
    *(
        Block(path, name, partial(render, language))
        for language, (path, _) in _GUIDES.items()
        for name, render in (("errores", guide_errors), ("faltas", guide_faults))
    ),
)


def documents() -> dict[Path, str]:
    """Every document that is generated, in whole or in part, as it should be."""
    texts = {DIAGRAM: diagram()} | {
        DIAGRAM.with_name(f"{name}.mmd"): render()
        for name, render in (
            ("arquitectura", architecture),
            ("tablas", entities),
            ("secuencia-reserva", sequence),
        )
    }
    for block in BLOCKS:
        text = texts.get(block.path) or block.path.read_text(encoding="utf-8")
        texts[block.path] = block.replaced(text)
    texts[OPENAPI.with_suffix(".en.yaml")] = english_contract(texts[OPENAPI])
    return texts


def outdated() -> list[Path]:
    """The documents that differ from the declarations in the code."""
    return [
        path
        for path, text in documents().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.documents", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail when a document is outdated"
    )
    arguments = parser.parse_args()
    stale = outdated()
    for path in stale:
        print(path.relative_to(ROOT))
    if arguments.check:
        return 1 if stale else 0
    for path, text in documents().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
