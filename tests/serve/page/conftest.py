"""A browser for all tests of a file, a server that knows colours and a tab for each."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from colours import INDEXED, Colours
from visits import Visit


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        launched = running.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


@pytest.fixture
def server() -> Iterator[Colours]:
    with Colours(INDEXED) as running:
        yield running


@pytest.fixture
def visit(browser: Any, server: Colours) -> Iterator[Visit]:
    made = Visit(browser, server.url)
    yield made
    made.close()
