"""What the page says when it cannot have an answer, and what it never does, whatever it is given."""

import io
import json
import re
import threading
from importlib.resources import files
from typing import Any

import pytest
from PIL import Image

from colours import INDEXED, Colours, square
from visits import Visit

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=window.owned=1>"


def test_html_in_labels_captions_and_errors_is_text(visit, server):
    server.captions = {"k-red": HOSTILE}
    page = visit.page
    visit.choose("#classify-file", "red")
    page.wait_for_selector("#classify .zone img")
    visit.ask_for_colours(f"red, {HOSTILE}")
    assert HOSTILE in [name for name, _ in visit.bars()]
    visit.expected = ("400",)
    refusal = json.dumps({"error": {"message": HOSTILE, "type": "x", "code": None}}).encode()
    server.instead["/v1/classify"] = [(400, {"Content-Type": "application/json"}, refusal)]
    page.click("#classify .primary")
    assert visit.problem() == HOSTILE
    page.click("#search-tab")
    page.fill("#search-text", "red")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search .gallery img")
    assert visit.found()[0] == HOSTILE
    page.locator("#search .gallery button").first.click()
    page.wait_for_selector("#search-like li")
    assert page.evaluate("window.owned") is None
    assert page.locator("img[src=x]").count() == 0


def test_a_filter_that_is_none_is_told_beside_its_field(visit, server):
    page = visit.page
    page.click("#search-tab")
    page.fill("#search-text", "red")
    page.locator("#search summary").click()
    page.fill("#search-where", f"width > {HOSTILE}")
    page.locator("#search summary").click()
    visit.expected = ("400",)
    said = f"where 'width > {HOSTILE}': no condition"
    refusal = json.dumps({"error": {"message": said, "type": "x", "code": "invalid_value"}}).encode()
    server.instead["/v1/search"] = [(400, {"Content-Type": "application/json"}, refusal)]
    page.click("#search .primary")
    assert visit.problem("search") == said
    assert page.locator("#search-where").get_attribute("aria-invalid") == "true"
    assert page.evaluate("document.activeElement.id") == "search-where"
    assert page.evaluate("window.owned") is None
    page.fill("#search-where", "width > 10")
    assert page.locator("#search-where").get_attribute("aria-invalid") is None
    page.keyboard.press("Enter")
    page.wait_for_selector("#search .gallery img")
    assert page.locator("#search .problem:visible").count() == 0


def test_the_policy_stops_scripts_that_are_not_files_of_the_server(browser, server):
    visit = Visit(browser, server.url)
    visit.page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.owned = 1'; document.body.append(s) }"
    )
    visit.page.evaluate("() => { document.body.setAttribute('style', 'color: red'); }")
    for kind in ("script", "style"):
        visit.until(lambda kind=kind: any(said.startswith("error: policy:") and kind in said for said in visit.noted))
    assert visit.page.evaluate("window.owned") is None
    visit.expected = ("policy", "Content Security Policy")
    visit.close()


def test_a_thumbnail_from_elsewhere_is_not_loaded(visit, server, monkeypatch):
    hit = {"key": "a", "score": 1.0, "meta": {}, "thumbnail": "http://127.0.0.1:9/x.png"}
    monkeypatch.setattr(server, "search", lambda body: {"hits": [hit]})
    visit.page.click("#search-tab")
    visit.page.fill("#search-text", "red")
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector("#search .gallery button")
    assert visit.page.locator("#search .gallery img").count() == 0
    assert "no preview" in visit.page.locator("#search .frame").inner_text()


@pytest.mark.parametrize(
    ("status", "headers", "says"),
    [
        (429, {"Retry-After": "3"}, "busy just now. It asks to wait 3 seconds"),
        (429, {}, "busy just now."),
        (503, {"Retry-After": "1"}, "wait a second"),
        (500, {}, "went wrong in the server"),
        (504, {}, "took the server too long"),
        (413, {}, "more than this server takes at once"),
        (200, {}, "answer could not be read"),
    ],
)
def test_refusals_are_a_line_and_can_be_tried_again(visit, server, status, headers, says):
    visit.expected = (str(status),)
    visit.choose("#classify-file", "red")
    visit.page.wait_for_selector("#classify .zone img")
    server.instead["/v1/classify"] = [(status, headers, b"<h1>proxy</h1>")]
    visit.ask_for_colours()
    assert says in visit.problem()
    again = visit.page.get_by_role("button", name="Try again")
    if status == 413:
        assert again.count() == 0
        return
    again.click()
    assert visit.bars()[0][0] == "red"
    assert not visit.page.locator("#classify .problem").is_visible()


def test_a_server_that_has_gone(browser):
    server = Colours(INDEXED)
    with server:
        visit = Visit(browser, server.url)
        visit.expected = ("ERR_CONNECTION_REFUSED",)
        visit.choose("#classify-file", "red")
        visit.page.wait_for_selector("#classify .zone img")
        visit.context.set_offline(True)
        visit.expected += ("ERR_INTERNET_DISCONNECTED",)
        visit.ask_for_colours()
        assert "cannot be reached" in visit.problem()
        visit.context.set_offline(False)
        visit.page.get_by_role("button", name="Try again").click()
        assert visit.bars()[0][0] == "red"
        visit.close()


def test_a_key_is_asked_for_and_kept_in_the_tab_alone(browser, server):
    server.wanted = "s3cret-key-of-twenty"
    visit = Visit(browser, server.url)
    visit.expected = ("401",)
    page = visit.page
    visit.choose("#classify-file", "red")
    page.wait_for_selector("#classify .zone img")
    visit.ask_for_colours()
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    assert "Without a key" in visit.problem()
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector("dialog[open]")
    for wrong, says in (("with spaces in it", "without spaces"), ("not-the-right-one", "did not accept")):
        page.fill("#key-value", wrong)
        page.keyboard.press("Enter")
        page.wait_for_selector(f"dialog .problem:has-text('{says}')")
    page.fill("#key-value", server.wanted)
    page.keyboard.press("Enter")
    assert visit.bars()[0][0] == "red"
    stored = "[JSON.stringify(sessionStorage), JSON.stringify(localStorage), document.cookie]"
    session, local, cookies = page.evaluate(stored)
    assert json.loads(session) == {"fullclip-key": server.wanted}
    assert (local, cookies) == ("{}", "")
    assert server.wanted not in page.content()
    page.click("#forget")
    assert page.evaluate("sessionStorage.length") == 0
    visit.close()


@pytest.mark.parametrize("name", ["page.html", "torn.jpg", "empty.png", "drawing.svg"])
def test_a_file_that_is_no_picture_is_one_line(visit, server, tmp_path, name):
    jpeg = io.BytesIO()
    Image.new("RGB", (64, 64)).save(jpeg, "JPEG")
    contents = {"page.html": b"<script>1</script>", "torn.jpg": jpeg.getvalue()[:90], "empty.png": b"", "drawing.svg": b"<svg"}
    (tmp_path / name).write_bytes(contents[name])
    visit.page.set_input_files("#classify-file", tmp_path / name)
    assert f"{name} cannot be opened as a picture" in visit.problem()
    visit.page.click("#rerank-tab")
    good = tmp_path / "red.png"
    good.write_bytes(square("red"))
    visit.page.set_input_files("#rerank-files", [tmp_path / name, good])
    assert f"{name} cannot be opened as a picture" in visit.problem("rerank")
    assert visit.page.locator(".strip li").count() == 1


def test_the_last_question_wins(visit, server, monkeypatch):
    """An answer that comes after another was asked for is not shown."""
    plain, goes_on, answered = server.search, threading.Event(), list[str]()

    def slow(body: dict[str, Any]) -> dict[str, Any]:
        if body["text"] == "red":
            goes_on.wait(20)
        answered.append(body["text"])
        return plain(body)

    monkeypatch.setattr(server, "search", slow)
    page = visit.page
    page.click("#search-tab")
    for colour in ("red", "blue"):
        page.fill("#search-text", colour)
        page.keyboard.press("Enter")
        visit.until(lambda colour=colour: any(body["text"] == colour for body in server.asked.get("/v1/search", ())))
    page.wait_for_selector("#search .gallery img")
    goes_on.set()
    visit.until(lambda: answered == ["blue", "red"])
    page.wait_for_timeout(200)
    assert visit.found()[0] == "a blue square"


def test_it_works_below_a_path_of_another_server():
    """Every address in the page's files is relative, so that a proxy may put it anywhere."""
    folder = files("fullclip") / "assets/page"
    for name in ("index.html", "page.js", "api.js", "classify.js", "search.js", "rerank.js", "elements.js", "pictures.js"):
        text = (folder / name).read_text(encoding="utf-8")
        assert not re.search(r"""(?:href|src|ask\(|from)\s*[=]?\s*["'](?:/|https?:)""", text), name
        assert "innerHTML" not in text
        assert "eval(" not in text
