"""Chromium, and travelers who use the page of the running stack."""

import os
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from local.browser import chromium, playwright
from local.paths import STACK_FILE, read_json
from tests.browser.traveler import Traveler, Window
from tests.e2e.backstage import Backstage


@pytest.fixture(scope="module")
def stack() -> dict[str, Any]:
    description = read_json(STACK_FILE)
    if not description:
        pytest.fail("The stack is not up: run `make test`, or `make up` first.")
    return description


@pytest.fixture(scope="module")
def backstage(stack: dict[str, Any]) -> Iterator[Backstage]:
    with closing(Backstage(stack)) as backstage:
        yield backstage


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright().sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=str(chromium()), args=sandbox)
        yield browser
        browser.close()


@pytest.fixture
def window(browser: Any, stack: dict[str, Any]) -> Iterator[Window]:
    """A Spanish traveler's browser window; its tabs share what the page stores."""
    context = browser.new_context(locale="es-ES", timezone_id="Europe/Madrid")
    yield Window(context, stack["web_url"])
    context.close()


@pytest.fixture
def traveler(window: Window) -> Traveler:
    return window.open()
