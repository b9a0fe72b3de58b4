"""Names of the stack, and its folders and files: all under `.local/` and outside git."""

import json
import os
import secrets
from pathlib import Path
from typing import Any

STACK = "reservations"
STAGE = "local"
BUCKET_ADDRESSING = {"BUCKET_ADDRESSING": "path"}  # LocalStack knows no host of a bucket
ROOT = Path(__file__).resolve().parents[1]
STATE = ROOT / ".local"
LOGS = STATE / "logs"
FUNCTION_LOGS = STATE / "localstack" / "lambda" / "logs"
VENVS = STATE / "venvs"
# Set for tests on another stack than the embedded one, such as docker-compose.yml's.
STACK_FILE = Path(os.environ.get("STACK_FILE") or STATE / "stack.json")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file, or an empty one when there is no readable file."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace a file atomically, readable by its owner only: it may hold secrets."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    draft.replace(path)
