"""Write the parts of the documents that code declares; with `--check`, only compare.

A table between `generado:<name>` and `/generado` marks belongs to this module; all else to people.
"""

import argparse
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr

from local.template import name_of, resources
from reservations import config
from reservations.adapters.mysql.idempotency import KEPT as KEYS_KEPT
from reservations.adapters.mysql.tables import METADATA
from reservations.application.clean_up import (
    DOCUMENTS_KEPT,
    HINTS_KEPT,
    PERSONAL_DATA_KEPT,
    WEBHOOKS_KEPT,
)
from reservations.domain.facts import Reason
from reservations.domain.policy import SHORT, STANDARD
from reservations.domain.saga import (
    FINAL,
    FINAL_STATE,
    NEXT_STATES,
    WORD_CHANGES,
    WORD_OF_CLOSED,
    WORD_OF_LIVE,
    PublicStatus,
    State,
)
from reservations.domain.views import PROGRESS
from reservations.entrypoints.bodies import FAULTS
from reservations.entrypoints.problems import CATALOGUE, Problem

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

_YAML_WIDTH = 110
_EXAMPLE_ID = "0195a0b0-1c2d-7e3f-8a4b-5c6d7e8f9a0e"

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

_EFFECTS = {"none": "nada", "unknown": "no se sabe", "accepted": "ocurrió"}

_DURATIONS = {
    "ladder": "esperas entre las consultas de una llamada abierta",
    "ladder_end": "espera entre las consultas siguientes",
    "unasked_ladder_limit": "peldaño más alto, desde 0, para lo no enviado o no consultado",
    "retry_after_limit": "máximo que se obedece el `Retry-After` de un proveedor",
    "aftercare": "consultas de lo ya cerrado, desde el cierre o el último webhook",
    "hold": "retención, desde el último envío del cargo",
    "hold_limit": "retención desde la creación, si ningún cargo llegó a pagos",
    "grace": "gracia tras la retención",
    "book_window": "tiempo que se insiste a un proveedor que no tiene la reserva",
    "call_limit": "una llamada no empieza ni acaba más tarde que esto tras escribirse",
    "visibility": "«no existe» solo se cree este tiempo después de acabar la llamada",
    "not_found_gap": "separación mínima entre dos «no existe» que se creen",
    "deadline": "revisión de una llamada abierta o de una cancelación que no llega",
    "refund_deadline": "revisión de un reembolso abierto o que no llega",
    "hint_lease": "arriendo de una fila de outbox o de una reserva vencida",
    "hint_lease_limit": "máximo de ese arriendo, que crece con la espera de la reserva",
    "mail_repeat": "espera antes de repetir un correo sin respuesta",
    "reminder": "recordatorio cuando solo una persona puede hacer avanzar la reserva",
}

_LIMITS = {
    "payments_connect": "conectar con pagos",
    "payments_read": "esperar la respuesta de pagos",
    "supplier_connect": "conectar con el proveedor",
    "supplier_read": "esperar la respuesta del proveedor",
}

_SETTINGS = {
    "database_url": "conexión a MySQL, con su usuario",
    "saga_policy": "perfil de duraciones (`standard`, `short`) y lo que difiere de él, en segundos",
    "payments_url": "dirección de la API de pagos",
    "payments_api_key": "nuestra clave en la API de pagos",
    "supplier_url": "dirección de la API del proveedor",
    "supplier_api_key": "nuestra clave en la API del proveedor",
    "support_contact": "a quién llama el viajero, impreso en bonos y correos",
    "mail_sender": "remitente de los correos, verificado en SES",
    "access_token_keys": "anillo de claves de las credenciales de acceso",
    "webhook_secrets_payments": "secretos con que firma pagos, hasta dos vivos",
    "webhook_secrets_supplier": "secretos con que firma el proveedor, hasta dos vivos",
    "public_base_url": "dirección pública con la que empiezan los enlaces",
    "api_clients": "cliente de cada clave de API, por el identificador de la clave",
    "payment_queue_url": "cola de pago",
    "supplier_queue_url": "cola del proveedor",
    "voucher_queue_url": "cola de bonos",
    "notification_queue_url": "cola de correos",
    "dead_letter_queue_url": "cola de mensajes fallidos de la función",
    "document_bucket": "cubo privado de documentos",
    "bucket_addressing": "si el nombre del cubo va en el servidor (`virtual`) o en la ruta (`path`)",
    "mail_configuration_set": "conjunto de configuración de SES que publica rebotes y quejas",
    "allowed_origin": "origen web cuyas páginas pueden leer las respuestas (CORS)",
    "settings_path": "prefijo de los parámetros de este despliegue",
}
# Read as JSON, so no `SecretStr` marks them.
_SECRET_DOCUMENTS = {"access_token_keys", "webhook_secrets_payments", "webhook_secrets_supplier"}
_TRIP = "tras el viaje"
_FOR_EVER = "6 años o más: nada la borra"
# What each table is for, the personal data it has, and how long a row is kept.
_TABLES = {
    "reservation": (
        "oferta, precio, motivo de cierre y lo derivado de los hechos",
        "–",
        _FOR_EVER,
    ),
    "customer": (
        "el titular",
        "nombre, correo, teléfono, idioma, y el vale mientras haga falta",
        f"{PERSONAL_DATA_KEPT.days} días {_TRIP}, o hasta `ops erase`",
    ),
    "provider_call": (
        "libro de llamadas: lo pedido a cada proveedor y lo sabido",
        "–",
        _FOR_EVER,
    ),
    "provider_attempt": ("la prueba de cada petición de una llamada", "–", _FOR_EVER),
    "history": ("qué pasó, cuándo y por quién", "–", _FOR_EVER),
    "outbox": (
        "indicios que esperan a publicarse",
        "–",
        f"{HINTS_KEPT.days} días desde que se publica. `dead`, hasta que alguien lo revisa",
    ),
    "document": (
        "dónde está el bono y su huella",
        "–",
        f"6 años o más. El PDF, {DOCUMENTS_KEPT.days} días {_TRIP}",
    ),
    "mail_send": ("qué correo se envió y cómo acabó", "–", _FOR_EVER),
    "webhook": (
        "webhooks recibidos, para tomar cada uno una vez",
        "–",
        f"{WEBHOOKS_KEPT.days} días",
    ),
    "idempotency": ("la respuesta a cada clave de idempotencia", "–", f"{KEYS_KEPT.days} días"),
}
_FROM_ENVIRONMENT = (
    config.QueueSettings,
    config.DeadLetterSettings,
    config.DocumentSettings,
    config.MailFeedbackSettings,
    config.BrowserSettings,
    config.ParameterPath,
)

_OF_THE_ACCOUNT = re.compile(
    r"arn:\$\{AWS::Partition\}:[a-z-]+:\$\{AWS::Region\}:\$\{AWS::AccountId\}:"
)
# Every `*` among the rights, whole, and why it is there; a right with another one is not documented, and fails.
WILDCARDS = {
    "${DocumentBucket.Arn}/vouchers/*": "cualquier bono, y nada más del cubo",
    "arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:identity/*": (
        "SES pide permiso sobre el remitente. `MailSenderDomain` lo acota, si se da"
    ),
    "sqs:SendMessage*": "así lo escribe SAM. Ninguna otra acción empieza igual",
    "log-group:*": "política de AWS: toda función escribe en cualquier grupo de registros",
    "network-interface:*": "política de AWS para la VPC: EC2 no acota interfaces de red",
    "lambda:*:alias": "política de AWS para mover llamadas de versión: cualquier alias y alarma",
    "sqs:*:queue": "política de AWS para leer colas. Un `Deny` niega las ajenas",
}
_QUEUE_READER = "AWSLambdaSQSQueueExecutionRole"
_EVERY_FUNCTION = "AWSLambdaBasicExecutionRole"
_IN_A_VPC = "AWSLambdaVPCAccessExecutionRole"
_DEPLOYER = "AWSCodeDeployRoleForLambda"


@dataclass(frozen=True, slots=True)
class Right:
    """What a function may do, on what."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]

    @property
    def wildcards(self) -> list[str]:
        return [name for name in (*self.actions, *self.resources) if "*" in name]


DEPLOYER_RIGHT = Right((_DEPLOYER,), ("lambda:*:alias",))


def rights() -> dict[str, list[Right]]:
    """What each function's role allows, by the function's folder: our statements, SAM's and AWS's."""
    return {
        Path(properties["CodeUri"]).name: list(_rights_of(properties))
        for properties in resources("AWS::Serverless::Function").values()
    }


def _rights_of(function: Mapping[str, Any]) -> Iterator[Right]:
    for policy in function["Policies"]:
        if "SQSSendMessagePolicy" in policy:
            queue = name_of(policy["SQSSendMessagePolicy"]["QueueName"])
            yield Right(("sqs:SendMessage*",), (queue,))
        elif "Ref" in policy:
            shared = resources("AWS::IAM::ManagedPolicy")[name_of(policy)]
            yield from _stated(shared["PolicyDocument"])
        else:
            yield from _stated(policy)
    yield Right((_EVERY_FUNCTION,), ("log-group:*",))
    yield Right((_IN_A_VPC,), ("network-interface:*",))
    if any(event["Type"] == "SQS" for event in function.get("Events", {}).values()):
        yield Right((_QUEUE_READER,), ("sqs:*:queue",))


def _stated(policy: Mapping[str, Any]) -> Iterator[Right]:
    for stated in policy["Statement"]:
        statement = stated["Fn::If"][1] if "Fn::If" in stated else stated
        if statement["Effect"] == "Allow":
            yield Right(
                tuple(_listed(statement["Action"])),
                tuple(map(_spelled, _listed(statement["Resource"]))),
            )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _spelled(resource: Any) -> str:
    """An ARN as the template writes it; what `!GetAtt` gives, with a dot."""
    if isinstance(resource, str):
        return resource
    if "Fn::Sub" in resource:
        return str(resource["Fn::Sub"])
    return str(resource["Ref"]) if "Ref" in resource else ".".join(resource["Fn::GetAtt"])


def permissions() -> str:
    """
    Raises:
        ValueError: a `*` that nothing explains.
    """
    holders: dict[Right, list[str]] = {}
    for folder, granted in rights().items():
        for right in granted:
            holders.setdefault(right, []).append(folder)
    everyone = len(rights())
    rows = [
        [
            "todas" if len(folders) == everyone else ", ".join(f"`{f}`" for f in folders),
            *_told(right),
        ]
        for right, folders in holders.items()
    ]
    rows.append(["CodeDeploy, en un despliegue gradual", *_told(DEPLOYER_RIGHT)])
    return table(["Función", "Acción", "Sobre", "Por qué hay un `*`"], rows)


def _told(right: Right) -> list[str]:
    return [
        ", ".join(f"`{action}`" for action in right.actions),
        ", ".join(f"`{_short(resource)}`" for resource in right.resources),
        ". ".join(_reason(name) for name in right.wildcards) or "–",
    ]


def _short(resource: str) -> str:
    """Without what is the same in every ARN of this account and region."""
    own = _OF_THE_ACCOUNT.match(resource)
    return resource[own.end() if own else 0 :].replace("parameter/reservations/${Stage}/", "…/")


def _reason(name: str) -> str:
    if name not in WILDCARDS:
        raise ValueError(f"a right with a * that nothing explains: {name}")
    return WILDCARDS[name]


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
    rows = [
        [
            f"`{field.name}`",
            _DURATIONS[field.name],
            spoken(getattr(STANDARD, field.name)),
            spoken(getattr(SHORT, field.name)),
        ]
        for field in fields(STANDARD)
    ]
    limits = [
        [
            f"`{provider}_{limit}`",
            _LIMITS[f"{provider}_{limit}"],
            *(f"{getattr(row.limits[profile], limit):g} s" for profile in config.PROFILES),
        ]
        for provider, row in config.PROVIDERS.items()
        for limit in config.CallLimits.model_fields
    ]
    return table(["Ajuste", "Qué es", "Estándar", "Corto"], [*rows, *limits])


def settings() -> str:
    rows = [
        [f"`{model.parameter(field)}`", *_origin(model, field), _SETTINGS[model.parameter(field)]]
        for model in sources()
        for field in model.model_fields
    ]
    return table(["Ajuste", "Dónde", "Secreto", "Qué es"], rows)


def sources(model: type[config.Settings] = config.Settings) -> list[type[config.Settings]]:
    """The settings that are read by themselves; a saga's profile is part of `saga_policy`."""
    kinds = [kind for kind in model.__subclasses__() if kind is not config.SagaProfile]
    return [source for kind in kinds for source in sources(kind)] or [model]


def _origin(model: type[config.Settings], field: str) -> tuple[str, str]:
    if model in _FROM_ENVIRONMENT:
        return f"variable `{field.upper()}`", "no"
    name = model.parameter(field)
    secret = model.model_fields[field].annotation is SecretStr or name in _SECRET_DOCUMENTS
    return f"SSM `…/{name.replace('_', '-')}`", "sí" if secret else "no"


def tables() -> str:
    rows = [[f"`{name}`", *_TABLES[name]] for name in METADATA.tables]
    return table(["Tabla", "Para qué", "Datos personales", "Cuánto se guarda una fila"], rows)


def errors() -> str:
    rows = [
        [
            f"`{problem.code}`",
            str(int(problem.status)),
            problem.title.spanish,
            f"{problem.retry_after_s} s" if problem.retryable else "no",
            _EFFECTS[problem.effect],
        ]
        for problem in CATALOGUE.values()
    ]
    return table(["Código", "HTTP", "Título", "Repetir", "Efecto"], rows)


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
            WORD_OF_CLOSED[reason],
            f"`{FINAL_STATE[reason]}`",
        ]
        for reason in Reason
    ]
    word_rows = [
        [word, " · ".join(_in_order(WORD_CHANGES[word])) or "nada más"] for word in PublicStatus
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
                ],
                reason_rows,
            ),
            table(["Del estado", "Se puede pasar a"], word_rows),
        )
    )


def _words_of(state: State) -> list[PublicStatus]:
    if state in WORD_OF_LIVE:
        return [WORD_OF_LIVE[state]]
    ends_here = {WORD_OF_CLOSED[reason] for reason, final in FINAL_STATE.items() if final is state}
    words = ends_here or set(WORD_OF_CLOSED.values())
    return _in_order(words if state in FINAL else words | {PublicStatus.EN_CANCELACION})


def _in_order(words: Collection[PublicStatus]) -> list[PublicStatus]:
    return [word for word in PublicStatus if word in words]


def diagram() -> str:
    """The states as a Mermaid diagram: the journey in its order, and every way it ends."""
    journey, ended = list(WORD_OF_LIVE), [state for state in State if state in FINAL]
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
        *(f"    LIVE --> CLOSED : {reason} · {word}" for reason, word in WORD_OF_CLOSED.items()),
        *(f"    note right of {state} : {word}" for state, word in WORD_OF_LIVE.items()),
        f"    {State.SUPPLIER_CONFIRMED} --> [*]",
        "    ENDED --> [*]",
    ]
    return "\n".join(lines) + "\n"


def _edges(origins: list[State], ends: list[State]) -> Iterator[str]:
    for origin in origins:
        following = (end for end in ends if end in NEXT_STATES[origin])
        yield from (f"        {origin} --> {end}" for end in following)


def error_examples() -> str:
    """The examples of the OpenAPI document, indented as they stand there."""
    examples = {problem.code: _example(problem) for problem in CATALOGUE.values()}
    text = yaml.safe_dump(examples, allow_unicode=True, sort_keys=False, width=_YAML_WIDTH)
    return "".join(f"    {line}\n" for line in text.splitlines())


def _example(problem: Problem) -> dict[str, object]:
    wrong = [
        {
            "pointer": "/customer/email",
            "code": "malformed_email",
            "message": FAULTS["malformed_email"].spanish,
        }
    ]
    return {
        "summary": problem.title.spanish,
        "value": {
            "type": problem.type,
            "title": problem.title.spanish,
            "status": int(problem.status),
            "detail": problem.detail.spanish,
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
    Block(DOCS / "contratos" / "openapi.yaml", "errores", error_examples),
)


def documents() -> dict[Path, str]:
    """Every document that is generated, in whole or in part, as it should be."""
    texts = {DIAGRAM: diagram()}
    for block in BLOCKS:
        text = texts.get(block.path) or block.path.read_text(encoding="utf-8")
        texts[block.path] = block.replaced(text)
    return texts


def outdated() -> list[Path]:
    """The documents that differ from what code declares."""
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
