"""The page in headless Chromium, asking a server that knows colours: what it shows, and how it is used."""

import base64
import re
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from colours import INDEXED, RGB, Colours, opened, square
from visits import Visit

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("way", ["choose", "drop", "paste"])
def test_a_picture_and_labels_become_bars_in_order(visit, server, way):
    if way == "choose":
        visit.choose("#classify-file", "red")
    else:
        assert visit.transfer(way, "#classify .zone" if way == "drop" else "body", "red") is (way == "drop")
    visit.page.wait_for_selector("#classify .zone img")
    visit.ask_for_colours()
    bars = visit.bars()
    asked = server.asked["/v1/classify"][-1]
    expected = server.classify(asked)["results"][0]["probabilities"]
    assert [name for name, _ in bars] == sorted(expected, key=lambda name: -expected[name])
    assert bars[0][0] == "red"
    assert sum(share for _, share in bars) == pytest.approx(1, abs=0.002)
    assert dict(bars) == pytest.approx(expected, abs=0.0011)  # one decimal of a percentage, and "< 0.1%"
    widths = [track.bounding_box()["width"] for track in visit.page.locator(".track").all()]
    fills = [fill.bounding_box()["width"] for fill in visit.page.locator(".track span").all()]
    assert fills[0] / widths[0] == pytest.approx(bars[0][1], abs=0.01)
    assert "red" in visit.page.locator("#classify [role=status]").inner_text()


def test_a_small_picture_is_sent_as_it_is(visit, server):
    visit.choose("#classify-file", "red")
    visit.page.wait_for_selector("#classify .zone img")
    visit.ask_for_colours()
    visit.bars()
    sent = server.asked["/v1/classify"][-1]["image"]
    assert base64.b64decode(sent.partition("base64,")[2]) == square("red")


def test_a_photograph_is_made_smaller_upright_and_on_white(visit, server, tmp_path):
    wide = Image.new("RGB", (3000, 2000), RGB["blue"])
    wide.paste(RGB["red"], (0, 0, 1500, 2000))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter to the right: what is at the left comes to the top
    wide.save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGBA", (900, 900), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    for name, size in (("turned.jpg", (512, 768)), ("clear.png", (512, 512))):
        visit.page.set_input_files("#classify-file", tmp_path / name)
        visit.page.wait_for_selector(f"#classify .zone img[alt*='{name}']")
        visit.ask_for_colours()
        visit.bars()
        picture = opened(server.asked["/v1/classify"][-1]["image"]).convert("RGB")
        assert picture.size == size
        expected = RGB["red"] if name == "turned.jpg" else (255, 255, 255)
        assert np.abs(np.asarray(picture)[20, 256].astype(int) - expected).max() < 12


def test_labels_are_chips_each_once_and_can_be_taken_away(visit):
    page = visit.page
    page.locator("#classify-label").press_sequentially("a cat, a dog,a cat, hou")
    chips = page.locator("#classify .chips li")
    assert [chip.inner_text().split("\n")[0] for chip in chips.all()] == ["a cat", "a dog"]
    assert page.input_value("#classify-label").strip() == "hou"
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Remove a dog").click()
    assert [chip.inner_text().split("\n")[0] for chip in chips.all()] == ["a cat", "hou"]
    page.keyboard.press("Backspace")
    assert chips.count() == 1
    pasted = "x => { const t = new DataTransfer(); t.setData('text/plain', x); document.querySelector('#classify-label')"
    page.evaluate(
        pasted + ".dispatchEvent(new ClipboardEvent('paste', {clipboardData: t, cancelable: true})) }", "one\ntwo\r\nthree"
    )
    assert chips.count() == 4


def test_it_says_when_none_of_the_labels_fits_and_only_when_asked(visit, server):
    visit.choose("#classify-file", "red")
    visit.page.wait_for_selector("#classify .zone img")
    visit.ask_for_colours("a dragon, a unicorn")
    visit.bars()
    assert "None of these" in visit.page.locator(".none").inner_text()
    assert "None of these" in visit.page.locator("#classify [role=status]").inner_text()
    visit.page.uncheck("#classify-reject")
    visit.page.click("#classify .primary")
    visit.page.wait_for_selector(".none", state="detached")
    assert server.asked["/v1/classify"][-1]["reject"] is False


def test_search_then_more_like_this_then_back(visit, server):
    page = visit.page
    page.click("#search-tab")
    page.fill("#search-text", "green things")
    page.fill("#search-minus", "yellow, white")
    page.select_option("#search-top", "12")
    page.keyboard.press("Tab")
    page.click("#search .primary")
    page.wait_for_selector("#search .gallery img")
    assert visit.found()[0] == "a green square"
    assert server.asked["/v1/search"][-1] == {"top": 12, "text": "green things", "minus": ["yellow", "white"]}
    expected = [f"{hit['score']:.3f}" for hit in server.search(server.asked["/v1/search"][-1])["hits"]]
    assert [number.inner_text() for number in page.locator("#search .gallery .number").all()] == expected
    page.get_by_role("button", name="More like this: a blue square").click()
    page.wait_for_selector("#search .gallery li:first-child [title='k-blue.png']")
    assert server.asked["/v1/search"][-1] == {"top": 12, "like": ["k-blue"]}
    assert page.evaluate("document.activeElement.textContent") == "Results"
    assert "k-blue.png" in page.locator("#search-like").inner_text()
    page.click("#search-back")
    page.wait_for_selector("#search .gallery li:first-child [title='k-green.png']")
    assert page.input_value("#search-text") == "green things"
    assert not page.locator("#search-back").is_visible()


def test_a_picture_is_a_query_too(visit, server):
    visit.page.click("#search-tab")
    visit.choose("#search-file", "yellow")
    visit.page.wait_for_selector("#search .zone img")
    visit.page.click("#search .primary")
    visit.page.wait_for_selector("#search .gallery img")
    assert visit.found()[0] == "a yellow square"
    assert set(server.asked["/v1/search"][-1]) == {"top", "image"}


def test_a_server_without_an_index_says_so_kindly(browser):
    with Colours(None) as server:
        visit = Visit(browser, server.url)
        visit.expected = ("404",)
        visit.page.click("#search-tab")
        assert "no pictures to search in" in visit.problem("search")
        visit.page.fill("#search-text", "red")
        visit.page.keyboard.press("Enter")
        visit.until(lambda: server.asked.get("/v1/search"))
        assert "no pictures to search in" in visit.problem("search")
        assert visit.page.get_by_role("button", name="Try again").count() == 0
        visit.close()


def test_rerank_shows_the_pictures_in_order(visit, server):
    page = visit.page
    page.click("#rerank-tab")
    page.fill("#rerank-caption", "a blue wall")
    visit.choose("#rerank-files", "red", "white")
    page.wait_for_function("() => document.querySelectorAll('.strip li').length === 2")
    assert visit.transfer("drop", "#rerank", "blue", "green")
    page.wait_for_function("() => document.querySelectorAll('.strip li').length === 4")
    page.get_by_role("button", name="Remove white.png").click()
    page.check("#rerank-diverse")
    page.click("#rerank .primary")
    page.wait_for_selector("#rerank .gallery li")
    asked = server.asked["/v1/rerank"][-1]
    names = ["red.png", "blue.png", "green.png"]
    hits = server.rerank(asked)["hits"]
    assert [words.inner_text() for words in page.locator("#rerank .words").all()] == [names[hit["index"]] for hit in hits]
    assert [n.inner_text() for n in page.locator("#rerank .number").all()] == [f"{hit['score']:.3f}" for hit in hits]
    assert hits[0]["index"] == 1
    assert 0 < asked["diversity"] <= 1
    assert asked["top"] == 3


def test_all_of_it_with_the_keyboard_alone(visit):
    page = visit.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "classify-tab"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "classify-file"
    outline = "getComputedStyle(document.querySelector('#classify-file + label')).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Enter")
    visit.chooser().set_files([{"name": "red.png", "mimeType": "image/png", "buffer": square("red")}])
    page.wait_for_selector("#classify .zone img")
    while page.evaluate("document.activeElement.id") != "classify-label":
        page.keyboard.press("Tab")
    page.keyboard.type("red, blue")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert visit.bars()[0][0] == "red"
    while page.evaluate("document.activeElement.id") != "classify-tab":
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "search-tab"
    page.keyboard.press("Tab")
    page.keyboard.type("blue")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search .gallery button")
    while not page.evaluate("document.activeElement.classList.contains('hit')"):
        page.keyboard.press("Tab")
    page.keyboard.press("End")
    last = page.evaluate("document.activeElement.title")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#search .gallery li:first-child [title='{last}']")


def test_hundreds_of_labels_stay_within_the_page(visit):
    page = visit.page
    visit.choose("#classify-file", "red")
    page.wait_for_selector("#classify .zone img")
    visit.ask_for_colours(", ".join(["red", *(f"label {number}" for number in range(500))]))
    page.wait_for_selector(".bars li:first-child .name:has-text('red')")
    assert page.locator(".bars li:visible").count() == 20
    assert page.evaluate("document.documentElement.scrollHeight") < 3000
    page.get_by_role("button", name="Show all 501").click()
    assert page.locator(".bars li:visible").count() == 501


def test_a_filter_is_sent_and_stays_while_one_looks_on(visit, server):
    page = visit.page
    page.click("#search-tab")
    page.fill("#search-text", "red")
    page.locator("#search summary").press("Enter")
    page.fill("#search-where", " width > 10 ")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search .gallery img")
    assert server.asked["/v1/search"][-1]["where"] == "width > 10"
    assert page.locator("#search summary").inner_text() == "Filter"
    page.locator("#search summary").click()
    page.wait_for_selector("#search summary:has-text('Filter: width > 10')")
    page.locator("#search .gallery button").first.click()
    page.wait_for_selector("#search-like li")
    visit.until(lambda: len(server.asked["/v1/search"]) == 2)
    assert server.asked["/v1/search"][-1]["where"] == "width > 10"
    page.locator("#search summary").click()
    page.fill("#search-where", "")
    page.click("#search .primary")
    visit.until(lambda: len(server.asked["/v1/search"]) == 3)
    assert "where" not in server.asked["/v1/search"][-1]


def test_everything_that_is_used_has_a_name(visit):
    nameless = """() => [...document.querySelectorAll('input, select, button, a, img, [role=tabpanel], ul[aria-label], dialog')]
      .filter(e => e.tagName === 'IMG' ? !e.hasAttribute('alt') : !(e.ariaLabel || e.labels?.length || e.textContent.trim()
        || e.getAttribute('aria-labelledby'))).map(e => e.outerHTML.slice(0, 80))"""
    assert visit.page.evaluate(nameless) == []
    for part in ("classify", "search", "rerank"):
        assert visit.page.locator(f"#{part} [role=alert]").count() == 1
        assert visit.page.locator(f"#{part} [role=status]").count() == 1
    assert visit.page.evaluate("document.documentElement.lang") == "en"


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_screen(browser, server, width):
    server.captions = dict.fromkeys(INDEXED, "one_very_long_word_" * 12)
    visit = Visit(browser, server.url, viewport={"width": width, "height": 700})
    page = visit.page
    visit.choose("#classify-file", "red")
    page.wait_for_selector("#classify .zone img")
    visit.ask_for_colours("red, " + "unbroken" * 30)
    visit.bars()
    fits = "document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(fits)
    page.click("#search-tab")
    page.fill("#search-text", "red")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search .gallery img")
    assert page.evaluate(fits)
    page.click("#rerank-tab")
    page.fill("#rerank-caption", "red")
    visit.choose("#rerank-files", *RGB)
    page.wait_for_function("() => document.querySelectorAll('.strip li').length === 5")
    page.click("#rerank .primary")
    page.wait_for_selector("#rerank .gallery li")
    assert page.evaluate(fits)
    visit.close()


def test_dark_and_light_follow_the_system_and_can_be_read(browser, server):
    """Contrast as WCAG 2.1 defines it (1.4.3): 4.5 at least between text and what is behind it."""
    for scheme in ("light", "dark"):
        visit = Visit(browser, server.url, color_scheme=scheme)
        style = "n => getComputedStyle(document.documentElement).getPropertyValue('--' + n).trim()"
        colour = {name: visit.page.evaluate(style, name) for name in re.findall(r"--([a-z-]+):", CSS)}
        pairs = [
            ("ink", "paper"),
            ("ink", "raised"),
            ("soft", "raised"),
            ("soft", "paper"),
            ("soft", "sunk"),
            ("ink", "lifted"),
        ]
        pairs += [("on-accent", "accent"), ("accent", "raised"), ("bad", "bad-wash"), ("doubt", "doubt-wash"), ("ink", "wash")]
        poor = [(a, b) for a, b in pairs if contrast(colour[a], colour[b]) < 4.5]
        assert not poor, scheme
        assert (luminance(colour["paper"]) < 0.1) is (scheme == "dark")
        visit.close()


CSS = (files("fullclip") / "assets/page/page.css").read_text(encoding="utf-8")


def luminance(colour: str) -> float:
    shares = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
