"""The contract as pages: both languages, and nothing from elsewhere."""

from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest


@pytest.mark.parametrize(
    ("query", "heading"), [("", "Crear una reserva"), ("?en", "Create a reservation")]
)
def test_the_contract_is_shown_without_another_origin(
    browser: Any, stack: dict[str, Any], query: str, heading: str
) -> None:
    page = browser.new_page()
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request))

    page.goto(f"{stack['web_url']}docs/referencia/{query}")
    page.get_by_role("heading", name=heading).wait_for()

    ours = (stack["web_url"], f"blob:{stack['web_url']}")
    others = [request for request in asked if not request.url.startswith(ours)]
    assert len(asked) >= 5
    assert {request.failure for request in others} <= {"csp"}  # the policy stops Redoc's logo
    page.close()


@pytest.mark.parametrize("path", ["/docs/../.local/stack.json", "/docs/%2e%2e/.local/stack.json"])
def test_the_server_of_the_page_shows_nothing_else(stack: dict[str, Any], path: str) -> None:
    """The path goes as written: other clients resolve the dots themselves."""
    with closing(HTTPConnection(urlsplit(stack["web_url"]).netloc, timeout=30)) as connection:
        connection.request("GET", path)

        assert connection.getresponse().status == HTTPStatus.NOT_FOUND
