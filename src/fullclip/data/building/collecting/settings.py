"""What the stage's rules depend on. All of it stands in stage.json; another value is another run."""

from dataclasses import dataclass, field

KINDS = ("alt", "title", "label", "caption", "link", "og")


@dataclass(frozen=True, kw_only=True)
class TextRules:
    """Which texts stay (`texts.py`). Lengths are of the cleaned text.

    The least lengths are those of DataComp's basic filter (Gadre et al. 2023, section 3: two words, five characters); the
    greatest leave out pages that were put into an alt text.
    """

    min_characters: int = 5
    max_characters: int = 1000
    min_words: int = 2
    max_words: int = 200
    max_word_characters: int = 40
    min_letters: float = 0.5
    max_capitals: float = 0.9
    max_repeated: float = 0.5


@dataclass(frozen=True, kw_only=True)
class ImageRules:
    """Which images stay, by what a page says of them (`images.py`, `addresses.py`); sizes that are not told are no reason."""

    min_side: int = 64
    max_aspect: float = 3.0
    max_address: int = 2000
    left_out_endings: tuple[str, ...] = ("svg", "svgz", "ico", "cur")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a page may cost. What lies beyond is counted."""

    max_page_bytes: int = 5 << 20
    max_images: int = 1000
    max_damages: int = 1000


@dataclass(frozen=True, kw_only=True)
class Collecting:
    """Settings of the stage.

    language: a code of two letters, or any. kinds: where texts may come from. base: the address of folders of pages.
    """

    language: str = "en"
    kinds: tuple[str, ...] = KINDS
    keep_opted_out: bool = False
    base: str = ""
    texts: TextRules = field(default_factory=TextRules)
    images: ImageRules = field(default_factory=ImageRules)
    limits: Limits = field(default_factory=Limits)
