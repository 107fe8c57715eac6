"""The page and the server together: the package's own model, photographs of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from fullclip import load
from fullclip.inference import Encoder
from fullclip.serve.app import build_app
from fullclip.serve.settings import Settings
from served import Live
from visits import Visit

pytestmark = [pytest.mark.browser, pytest.mark.whole]
PHOTOGRAPHS = sorted(str(path) for path in (files("fullclip") / "assets/photographs").iterdir())
KEY = "a-key-of-twenty-signs"


@pytest.fixture(scope="module")
def encoder():
    return load("small")


@contextmanager
def serving(encoder: Encoder, index: Any = None, **settings: Any) -> Iterator[str]:
    """The URL of a server of the model."""
    with Live(build_app(encoder, index, Settings(model="small", **settings))) as server:
        yield server.url


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    pytest.importorskip("lancedb")
    from fullclip.search.index import Index
    from fullclip.search.index.building import add
    from fullclip.search.jobs import ModelChoice

    folder = tmp_path_factory.mktemp("pictures") / "index"
    add(PHOTOGRAPHS, str(folder), choice=ModelChoice(batch_size=8), create=True)
    return Index.open(str(folder))


def photograph(name: str) -> str:
    return next(path for path in PHOTOGRAPHS if name in path)


def test_a_cat_is_a_cat_and_coffee_comes_first(browser, encoder):
    with serving(encoder) as url:
        visit = Visit(browser, url)
        page = visit.page
        page.set_input_files("#classify-file", photograph("cat"))
        page.wait_for_selector("#classify .zone img")
        visit.ask_for_colours("a cat, a rocket, a cup of coffee")
        bars = visit.bars()
        assert bars[0][0] == "a cat"
        assert sum(share for _, share in bars) == pytest.approx(1, abs=0.002)
        page.click("#search-tab")
        assert "no pictures to search in" in visit.problem("search")
        page.click("#rerank-tab")
        page.fill("#rerank-caption", "a cup of coffee")
        page.set_input_files("#rerank-files", PHOTOGRAPHS)
        page.wait_for_function("n => document.querySelectorAll('.strip li').length === n", arg=len(PHOTOGRAPHS))
        page.click("#rerank .primary")
        page.wait_for_selector("#rerank .gallery li")
        names = [words.inner_text() for words in page.locator("#rerank .words").all()]
        assert names[0] == "coffee.jpg"
        assert len(names) == len(PHOTOGRAPHS)
        visit.close()


def test_with_a_key_the_page_is_seen_and_asks_for_it(browser, encoder):
    with serving(encoder, api_keys=(KEY,)) as url:
        visit = Visit(browser, url)
        visit.expected = ("401",)
        page = visit.page
        page.wait_for_selector("dialog[open]")
        page.fill("#key-value", KEY)
        page.keyboard.press("Enter")
        page.wait_for_selector("#model:has-text('small')")
        page.set_input_files("#classify-file", photograph("rocket"))
        page.wait_for_selector("#classify .zone img")
        visit.ask_for_colours("a rocket, a flower")
        assert visit.bars()[0][0] == "a rocket"
        visit.close()


def test_an_index_is_searched_and_leads_on(browser, encoder, index):
    with serving(encoder, index) as url:
        visit = Visit(browser, url)
        page = visit.page
        page.click("#search-tab")
        page.wait_for_selector(f"#search .lead:has-text('among {len(PHOTOGRAPHS)}')")
        page.fill("#search-text", "a rocket in the night")
        page.keyboard.press("Enter")
        page.wait_for_selector("#search .gallery img")
        assert visit.found()[0] == "rocket.jpg"
        visit.until(lambda: page.evaluate("document.querySelector('#search .gallery img').naturalWidth") in range(1, 225))
        page.locator("#search summary").click()
        page.fill("#search-where", "path LIKE '%cat%'")
        page.keyboard.press("Enter")
        shown = "n => document.querySelectorAll('#search .gallery li').length === n"
        page.wait_for_function(shown, arg=1)
        assert visit.found() == ["cat.jpg"]
        page.fill("#search-where", "")
        page.click("#search .primary")
        page.wait_for_function(shown, arg=len(PHOTOGRAPHS))
        page.get_by_role("button", name="More like this: cat.jpg").click()
        page.wait_for_selector("#search .gallery li:first-child [title='cat.jpg']")
        scores = [float(number.inner_text()) for number in page.locator("#search .gallery .number").all()]
        assert scores[0] == pytest.approx(1, abs=0.002)
        assert scores == sorted(scores, reverse=True)
        page.set_input_files("#search-file", photograph("flower"))
        page.wait_for_selector("#search .zone img")
        page.get_by_role("button", name="Remove like cat.jpg").click()
        page.click("#search .primary")
        page.wait_for_selector("#search .gallery li:first-child [title='flower.jpg']")
        visit.close()
