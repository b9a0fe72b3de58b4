"""The faults of a body: raised by its validators, and listed in the answer."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

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


def fault(code: str, *, member: str | None = None) -> PydanticCustomError:
    """The error that a validator raises. `member` names the one at fault where a rule spans several."""
    return PydanticCustomError(code, code, {"member": member})


def faults_of(error: ValidationError) -> tuple[FieldError, ...]:
    """The first `MAX_FAULTS` faults, without any text of the input."""
    faults = error.errors(include_input=False, include_url=False)
    return tuple(_field_error(each) for each in faults[:MAX_FAULTS])


def _field_error(error: Any) -> FieldError:
    code = CODE_OF.get(error["type"], error["type"])
    path = [str(step) for step in error["loc"]]
    if code == "unknown_member":
        path.pop()  # its name is the client's own text, and is not echoed
    if member := error.get("ctx", {}).get("member"):
        path.append(member)
    return FieldError("".join(f"/{step}" for step in path), code)
