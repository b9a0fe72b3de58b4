"""The faults of a body: raised by its validators, and listed in the answer."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from reservations.entrypoints.problems import FieldError

MAX_FAULTS = 50

# Our codes for pydantic's error types; a test sends one body for each.
CODE_OF = {
    "missing": "missing",
    "extra_forbidden": "unknown_member",
    "string_type": "wrong_type",
    "int_type": "wrong_type",
    "model_type": "wrong_type",
    "dict_type": "wrong_type",
    "string_too_long": "too_long",
    "string_pattern_mismatch": "malformed",
    "string_unicode": "control_character",
    "greater_than_equal": "out_of_range",
    "less_than_equal": "out_of_range",
}
# Our names for the limits in pydantic's errors.
_LIMITS = {"max_length": "max", "ge": "min", "le": "max"}


def fault(
    code: str,
    params: Mapping[str, int | str] | None = None,
    *,
    member: str | None = None,
    pointers: tuple[str, ...] = (),
) -> PydanticCustomError:
    """The error that a validator raises.

    `params` are the limits that the value breaks, and nothing of the value. `member` names the one at fault where a
    rule spans several, `pointers` those at fault anywhere in the body.
    """
    context = {"member": member, "params": params or {}, "pointers": pointers}
    return PydanticCustomError(code, code, context)


def refuse(*faults: PydanticCustomError) -> None:
    """Raise all faults of one member at once, if there are any."""
    if faults:
        details = [InitErrorDetails(type=each, input=None) for each in faults]
        raise ValidationError.from_exception_data("", details)


def faults_of(*errors: ValidationError) -> tuple[FieldError, ...]:
    """The first `MAX_FAULTS` different faults, without any text of the input."""
    faults = [
        fault
        for error in errors
        for each in error.errors(include_input=False, include_url=False)
        for fault in _field_errors(each)
    ]
    different = {(each.pointer, each.code): each for each in faults}
    return tuple(different.values())[:MAX_FAULTS]


def _field_errors(error: Any) -> Iterator[FieldError]:
    context = error.get("ctx", {})
    if pointers := context.get("pointers"):
        params = context["params"]
        yield from (FieldError(pointer, error["type"], params) for pointer in pointers)
        return
    code = CODE_OF.get(error["type"], error["type"])
    path = [str(step) for step in error["loc"]]
    if code == "unknown_member":
        path.pop()  # its name is the client's own text, and is not echoed
    if member := context.get("member"):
        path.append(member)
    limits = {name: context[limit] for limit, name in _LIMITS.items() if limit in context}
    yield FieldError("".join(f"/{step}" for step in path), code, context.get("params", limits))
