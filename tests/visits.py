"""A tab of headless Chromium that looks at the page, and what it noted there."""

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from colours import square

USUAL = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"}
TELL_OF_VIOLATIONS = "addEventListener('securitypolicyviolation', e => console.error('policy: ' + e.violatedDirective));"
DROP = """async ([selector, kind, pictures]) => {
  const transfer = new DataTransfer();
  for (const [name, url] of pictures) {
    const bytes = Uint8Array.from(atob(url), c => c.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type: 'image/png' }));
  }
  const Kind = kind === 'paste' ? ClipboardEvent : DragEvent;
  const event = new Kind(kind, { bubbles: true, cancelable: true,
    ...(kind === 'paste' ? { clipboardData: transfer } : { dataTransfer: transfer }) });
  document.querySelector(selector).dispatchEvent(event);
  return event.defaultPrevented;
}"""


class Visit:
    """A tab that looks at the page. expected: the statuses of refusals that a test provokes, which the browser itself notes."""

    def __init__(self, browser: Any, url: str, **context: Any) -> None:
        self.origin, self.noted, self.elsewhere, self.expected = url, list[str](), list[str](), tuple[str, ...]()
        self.context = browser.new_context(**{**USUAL, **context})
        self.context.set_default_timeout(10_000)
        self.page = self.context.new_page()
        self.page.add_init_script(TELL_OF_VIOLATIONS)
        self.choosers: list[Any] = []
        self.page.on("filechooser", lambda chooser: self.choosers.append(chooser))
        self.page.on("console", lambda said: self.noted.append(f"{said.type}: {said.text}"))
        self.page.on("pageerror", lambda error: self.noted.append(f"thrown: {error}"))
        self.context.on("request", lambda request: self._look(request.url))
        self.page.goto(url)

    def _look(self, url: str) -> None:
        if urlsplit(url).scheme not in ("data", "blob") and not url.startswith(self.origin + "/"):
            self.elsewhere.append(url)

    def close(self) -> None:
        self.context.close()
        unexpected = [said for said in self.noted if not any(status in said for status in self.expected)]
        assert not unexpected
        assert not self.elsewhere

    def transfer(self, kind: str, selector: str, *colours: str) -> bool:
        pictures = [[f"{colour}.png", base64.b64encode(square(colour)).decode()] for colour in colours]
        return self.page.evaluate(DROP, [selector, kind, pictures])

    def choose(self, field: str, *colours: str) -> None:
        chosen = [{"name": f"{colour}.png", "mimeType": "image/png", "buffer": square(colour)} for colour in colours]
        self.page.set_input_files(field, chosen)

    def ask_for_colours(self, labels: str = "green, red, blue") -> None:
        self.page.fill("#classify-label", labels)
        self.page.click("#classify .primary")

    def until(self, holds: Callable[[], Any]) -> None:
        """Wait for what is not seen on the page."""
        for _ in range(200):
            if holds():
                return
            self.page.wait_for_timeout(25)
        raise AssertionError("waited in vain")

    def chooser(self) -> Any:
        """The dialog for files that has been opened."""
        self.until(lambda: self.choosers)
        return self.choosers.pop()

    def bars(self) -> list[tuple[str, float]]:
        self.page.wait_for_selector(".bars li")
        rows = [bar.inner_text().split("\n") for bar in self.page.locator(".bars li").all()]
        return [(name, float(number.strip("<% ")) / 100) for name, number in rows]

    def problem(self, part: str = "classify") -> str:
        self.page.wait_for_selector(f"#{part} .problem:visible")
        return self.page.locator(f"#{part} .problem").inner_text()

    def found(self) -> list[str]:
        return [words.inner_text() for words in self.page.locator("#search .gallery .words").all()]
