"""The rules applied: a page's pictures in, rows out; what is left out is counted by reason, of images once, of texts each."""

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from fullclip.core.extras import require
from fullclip.data.building.collecting.addresses import AddressError
from fullclip.data.building.collecting.images import reason_of_size
from fullclip.data.building.collecting.languages import ANY, language_of, page_language
from fullclip.data.building.collecting.pages import Page, Picture
from fullclip.data.building.collecting.settings import KINDS, Collecting
from fullclip.data.building.collecting.texts import clean, reason_of_text
from fullclip.data.drops import Drops

STRINGS = ("key", "url", "text", "kind", "page", "language", "licence")
NUMBERS = ("width", "height")
COLUMNS = ("key", "url", "text", "kind", "page", "width", "height", "language", "licence")
_ROWS_AT_ONCE = 10_000
_SHOWN = 200

Locate = Callable[[str, str], str]


def key_of(*place: object) -> str:
    """A key for what stands at a place: the same place gives the same, another place another."""
    return blake2b("\0".join(map(str, place)).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


class Rows:
    """Rows as they come, kept as Arrow."""

    def __init__(self) -> None:
        self._rows = list[Mapping[str, Any]]()
        self._tables = list[Any]()

    def add(self, row: Mapping[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) >= _ROWS_AT_ONCE:
            self._pack()

    def table(self) -> Any:
        """All of them; with its columns also where there is none."""
        self._pack()
        return require("pyarrow", extra="data").concat_tables(self._tables).combine_chunks()

    def _pack(self) -> None:
        arrow = require("pyarrow", extra="data")
        kinds = {name: arrow.int32() if name in NUMBERS else arrow.string() for name in COLUMNS}
        columns = {name: arrow.array([row.get(name) for row in self._rows], kind) for name, kind in kinds.items()}
        self._tables.append(arrow.table(columns))
        self._rows.clear()


class Collector:
    """Gathers a partition's rows. locate: (base, address as written) to the address of the row, or AddressError."""

    def __init__(self, settings: Collecting, locate: Locate, drops: Drops) -> None:
        self._settings, self._locate, self._drops = settings, locate, drops
        self.rows = Rows()

    def add_page(self, page: Page, address: str, place: Sequence[object]) -> None:
        """A page's rows, unless it asks not to be used. place: where it stands, once in all inputs."""
        if page.opted_out and not self._settings.keep_opted_out:
            self._drops.drop(f"page: opted out ({page.opted_out})", address)
            return
        language = page_language(page.language, clean(_words_of(page)))
        seen = set[tuple[str, str]]()
        for picture in page.pictures:
            self._add_picture(picture, page, address, (language, place, seen))
        if page.num_beyond:
            self._drops.drop(f"page: the images after {self._settings.limits.max_images:,}", address)

    def _add_picture(
        self, picture: Picture, page: Page, address: str, about: tuple[str, Sequence[object], set[tuple[str, str]]]
    ) -> None:
        language, place, seen = about
        try:
            url = self._locate(page.base, picture.address)
        except AddressError as error:
            self._drops.drop(str(error), f"{picture.address[:_SHOWN]} on {address}")
            return
        reason = reason_of_size(picture.width, picture.height, self._settings.images)
        texts = [(kind, text) for kind, text in picture.texts if kind in self._settings.kinds or kind not in KINDS]
        if reason or not texts:
            self._drops.drop(reason or "image: no text", url)
            return
        for kind, written in texts:
            text = clean(written)
            if reason := reason_of_text(text, self._settings.texts):
                self._drops.drop(reason, f"{text[:_SHOWN]} ({url})")
                continue
            if (url, text) in seen:
                self._drops.drop("text: repeated on the page", f"{text[:_SHOWN]} ({url})")
                continue
            seen.add((url, text))
            found = self.language(text, language)
            if found is None:
                continue
            row = {"key": key_of(*place, len(seen)), "url": url, "text": text, "kind": kind, "page": address}
            size = {"width": picture.width, "height": picture.height}
            self.rows.add({**row, **size, "language": found or None, "licence": page.licence or None})

    def language(self, text: str, page: str) -> str | None:
        """A text's language; None, and counted, where it is not the wanted one."""
        wanted = self._settings.language
        found = language_of(text, page, wanted)
        if wanted in (ANY, found):
            return found
        self._drops.drop(f"text: not in the language {wanted}", text[:_SHOWN])
        return None


def _words_of(page: Page) -> str:
    """What tells a page's language: what it shows, or, where that is not known, what it says of its images."""
    return page.text or " ".join([page.title, *(text for one in page.pictures[:100] for _, text in one.texts)])
