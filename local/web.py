"""Serve the page of `web/` on this machine: `python -m local.web --port PORT`.

`/settings.json` has the public part of the stack's description. `/docs/referencia/` shows the contract.
"""

import argparse
import json
import signal
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from local.paths import ROOT, STACK_FILE, read_json

_CLIENT = "web"
_DOCS = "/docs/"
# Redoc writes its styles into the page, and searches in a worker.
_POLICY_OF_DOCS = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:"
)


class Page(SimpleHTTPRequestHandler):
    """The files of `web/`, for this origin only: no other script, no frame, no referrer."""

    protocol_version = "HTTP/1.1"
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".woff2": "font/woff2"}

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments, directory=str(ROOT / "web"))

    def do_GET(self) -> None:
        if urlsplit(self.path).path != "/settings.json":
            return super().do_GET()
        stack = read_json(STACK_FILE)
        content = json.dumps(_settings(stack) if stack else {}).encode()
        self.send_response(200 if stack else 503)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        return None

    def translate_path(self, path: str) -> str:
        in_docs = path.startswith(_DOCS)
        self.directory = str(ROOT / ("docs" if in_docs else "web"))
        return super().translate_path(path.removeprefix("/docs") if in_docs else path)

    def end_headers(self) -> None:
        policy = _POLICY_OF_DOCS if self.path.startswith(_DOCS) else _policy()
        self.send_header("Content-Security-Policy", policy)
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        self.send_error(404)


def _policy() -> str:
    stack = read_json(STACK_FILE)
    services = " ".join(_origin(stack[name]) for name in ("api_url", "offers_url") if name in stack)
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
        f" connect-src 'self' {services}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _settings(stack: dict[str, Any]) -> dict[str, str]:
    return {
        "api_url": stack["api_url"],
        "api_key": stack["api_keys"][_CLIENT],
        "offers_url": stack["offers_url"],
        "client_id": _CLIENT,
    }


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m local.web", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Page)

    def stop(*_: object) -> None:
        threading.Thread(target=server.shutdown).start()  # it waits for the loop of this thread

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server.serve_forever(poll_interval=0.1)
    server.server_close()


if __name__ == "__main__":
    main()
