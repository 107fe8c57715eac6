"""What a page says of its images: HTML in, a `Page` out. Knows no rules of what is kept, but for what it says of itself."""

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urljoin

from fullclip.data.building.collecting.images import declared_size, widest
from fullclip.data.building.collecting.markup import End, Start, events

_WANTED = frozenset({"a", "base", "body", "figcaption", "figure", "html", "img", "link", "meta", "picture", "source", "title"})
_BREAKS = frozenset({"br", "dd", "div", "dt", "h1", "h2", "h3", "h4", "li", "p", "td", "th", "tr"})
_LAZY = ("data-src", "data-original", "data-lazy-src", "data-lazy")
_LAZY_SETS = ("srcset", "data-srcset", "data-lazy-srcset")
_UNSHOWN_TYPES = ("image/svg+xml", "image/avif", "image/jxl")
_COMMONS = re.compile(r"https?://(?:www\.)?creativecommons\.org/(?:licenses|publicdomain)/[a-z]", re.IGNORECASE)
_OPT_OUT = re.compile(r"\b(noai|noimageai|noimageindex)\b", re.IGNORECASE)
_MAX_TEXT = 5000
_MAX_RAW = 20_000
_MAX_CARDS = 4
_MAX_FIGURES = 20  # open at a time

Texts = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image of a page. address: as it is written there. texts: (kind, text), with references as written in HTML's text."""

    address: str
    texts: Texts
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page says. base: what its addresses are relative to. language: as it declares it. opted_out: the word by which it
    asks not to be used for training. text: the beginning of what it shows. num_beyond: images past the limit.
    """

    base: str
    pictures: tuple[Picture, ...]
    title: str = ""
    text: str = ""
    language: str = ""
    licence: str = ""
    opted_out: str = ""
    num_beyond: int = 0


def opt_out(robots: str) -> str:
    """The word in a robots tag or header that asks for no use in training; empty where there is none."""
    found = _OPT_OUT.search(robots[:_MAX_RAW])
    return found[0].lower() if found else ""


def read_page(text: str, base: str, headers: Mapping[str, str] | None = None, *, max_images: int) -> Page:
    """The images of a page with their texts. base: the page's own address. headers: of HTTP."""
    reader = PageReader(base, max_images)
    for event in events(text, _WANTED, _BREAKS):
        if isinstance(event, str):
            reader.words(event)
        elif isinstance(event, Start):
            reader.start(event)
        else:
            reader.end(event)
    reader.headers(headers or {})
    return reader.page()


@dataclass(kw_only=True)
class _Figure:
    """An open <figure>: which pictures it holds, and its caption."""

    first: int
    caption: list[str]


class PageReader:
    """Told a page's tags and words one after the other, it knows at the end what the page says."""

    def __init__(self, base: str, max_images: int) -> None:
        self._address = base
        self._max_images = max_images
        self.title = self._base = self._language = self._licence = self._commons = self._opted_out = ""
        self._pictures = list[Picture]()
        self._num_beyond = 0
        self._figures = deque[_Figure](maxlen=_MAX_FIGURES)  # of more the outermost are forgotten
        self._caption: list[str] | None = None
        self._sources: list[Start] | None = None
        self._link = ""
        self._is_title = False
        self._texts = list[str]()
        self._text_size = self._caption_size = 0
        self._cards = _Cards()

    def words(self, text: str) -> None:
        if self._is_title:
            if not self.title:
                self.title = text[:_MAX_RAW]
            return
        if self._text_size < _MAX_TEXT and not text.isspace():
            self._texts.append(text[:_MAX_TEXT])
            self._text_size += len(text)
        if self._caption is not None and self._caption_size < _MAX_RAW:
            self._caption.append(text[:_MAX_RAW])
            self._caption_size += len(text)

    def headers(self, found: Mapping[str, str]) -> None:
        """What the page's HTTP headers say, by their names in small letters; the page itself comes first."""
        self._language = self._language or found.get("content-language", "")
        asked = opt_out(found.get("x-robots-tag", "")) or ("tdm-reservation" if found.get("tdm-reservation") == "1" else "")
        self._opted_out = self._opted_out or asked

    def start(self, tag: Start) -> None:
        if self._caption is not None:
            self._caption.append(" ")
        if tag.name == "img":
            self._image(tag)
        elif tag.name == "source" and self._sources is not None and len(self._sources) < self._max_images:
            self._sources.append(tag)
        elif tag.name == "picture":
            self._sources = []
        elif tag.name == "a":
            self._link = tag.get("title")
            self._licence_in(tag)
        elif tag.name == "figure":
            self._close_caption()
            self._figures.append(_Figure(first=len(self._pictures), caption=[]))
        elif tag.name == "figcaption" and self._figures:
            self._caption, self._caption_size = self._figures[-1].caption, 0
        elif tag.name == "meta":
            self._meta(tag)
        elif tag.name == "link":
            self._licence_in(tag)
        elif tag.name == "base" and not self._base:
            self._base = tag.get("href").strip()
        elif tag.name in ("html", "body"):
            self._language = self._language or tag.get("lang") or tag.get("xml:lang")
        elif tag.name == "title":
            self._is_title = True

    def end(self, tag: End) -> None:
        if tag.name == "picture":
            self._sources = None
        elif tag.name == "a":
            self._link = ""
        elif tag.name == "figcaption":
            self._close_caption()
        elif tag.name == "figure" and self._figures:
            self._close_figure()
        elif tag.name == "title":
            self._is_title = False

    def page(self) -> Page:
        """What was found, once all is read."""
        while self._figures:
            self._close_figure()
        pictures = [*self._pictures, *self._cards.pictures(self.title)]
        return Page(
            base=_joined(self._address, self._base),
            pictures=tuple(pictures),
            title=self.title,
            text=" ".join(self._texts)[:_MAX_TEXT],
            language=self._language,
            licence=(self._licence or self._commons)[:_MAX_RAW].strip(),
            opted_out=self._opted_out,
            num_beyond=self._num_beyond,
        )

    def _image(self, tag: Start) -> None:
        if len(self._pictures) >= self._max_images:
            self._num_beyond += 1
            return
        style = tag.get("style")[:_MAX_RAW]
        texts = [("alt", tag.get("alt")), ("title", tag.get("title")), ("label", tag.get("aria-label")), ("link", self._link)]
        self._pictures.append(
            Picture(
                address=address_of(tag, self._sources or ()),
                texts=tuple((kind, text) for kind, text in texts if text),
                width=declared_size(tag.get("width"), style, "width"),
                height=declared_size(tag.get("height"), style, "height"),
            )
        )

    def _meta(self, tag: Start) -> None:
        name = (tag.get("name") or tag.get("property") or tag.get("http-equiv")).lower()
        content = tag.get("content")
        if name == "tdm-reservation" and content.strip() == "1":
            self._opted_out = self._opted_out or name
        elif name == "content-language":
            self._language = self._language or content
        elif name.startswith(("og:", "twitter:")):
            self._cards.add(name, content)
        else:  # robots, or the name of one
            self._opted_out = self._opted_out or opt_out(content if _is_robot(name) else "")

    def _licence_in(self, tag: Start) -> None:
        address = tag.get("href")
        if "license" in tag.get("rel").lower().split():
            self._licence = self._licence or _joined(self._address, address)
        elif not self._commons and _COMMONS.match(address):
            self._commons = address

    def _close_caption(self) -> None:
        self._caption = None

    def _close_figure(self) -> None:
        """A caption belongs to the image of its figure; one under several images tells of none of them."""
        self._close_caption()
        figure = self._figures.pop()
        inside = self._pictures[figure.first :]
        addresses = {
            one.address for one in inside if not one.address.startswith("data:")
        }  # those stand in for what loads later
        if figure.caption and len(addresses) == 1:
            caption = ("caption", "".join(figure.caption)[:_MAX_RAW])
            self._pictures[figure.first :] = [replace(picture, texts=(*picture.texts, caption)) for picture in inside]


class _Cards:
    """The images that a page names for links to it (Open Graph, Twitter), with what it says there."""

    def __init__(self) -> None:
        self._images = list[dict[str, str]]()
        self._words = dict[str, str]()

    def add(self, name: str, content: str) -> None:
        kind = name.partition(":")[2]
        if kind in ("image", "image:url", "image:secure_url", "image:src"):
            if not any(content == one["image"] for one in self._images) and len(self._images) < _MAX_CARDS:
                self._images.append({"image": content})
        elif kind.startswith("image:") and self._images:
            self._images[-1].setdefault(kind.removeprefix("image:"), content)
        elif kind in ("title", "description"):
            self._words.setdefault(kind, content)

    def pictures(self, title: str) -> Iterable[Picture]:
        for image in self._images:
            words = (image.get("alt", ""), self._words.get("title", "") or title, self._words.get("description", ""))
            yield Picture(
                address=image["image"],
                texts=tuple(("og", text) for text in words if text),
                width=declared_size(image.get("width", ""), "", "width"),
                height=declared_size(image.get("height", ""), "", "height"),
            )


def address_of(tag: Start, sources: Iterable[Start]) -> str:
    """Where an <img> is best had: the widest of its sets, else of its <picture>'s; else where scripts would load it from; else
    its src.
    """
    sets = [(tag.get(name), "") for name in _LAZY_SETS]
    own = max((widest(one) for one, _ in sets if one), key=lambda one: one[0], default=(0.0, ""))
    if own[1] and not own[1].startswith("data:"):
        return own[1]
    plain = next((value for name in _LAZY if (value := tag.get(name).strip())), "") or tag.get("src").strip()
    if plain and not plain.startswith("data:"):
        return plain
    offered = [source.get("srcset") or source.get("data-srcset") for source in sources if _is_shown(source.attributes)]
    best = max((widest(one) for one in offered if one), key=lambda one: one[0], default=(0.0, ""))
    return best[1] or plain


def _is_shown(attributes: Mapping[str, str]) -> bool:
    return attributes.get("type", "").strip().lower() not in _UNSHOWN_TYPES


def _is_robot(name: str) -> bool:
    return name == "robots" or name.endswith("bot")


def _joined(base: str, address: str) -> str:
    try:
        return urljoin(base, address) if address else base
    except ValueError:
        return base
