"""Which texts are in the wanted language: short ones by their words and their page, long ones by their letters.

Detectors of languages are made for paragraphs: of 900 English captions (of Tux Paint's stamps, two words or more) resiliparse's
finds 35 in 100, and takes 15 in 100 of other languages' for English. English is told by the pieces that CLIP's tokenizer needs
for a word: its vocabulary was learned from English, so that English words are one piece, and others are several.
"""

import re
import unicodedata
from functools import lru_cache
from importlib.resources import files
from typing import Any

from fullclip.core.extras import require

ANY = "any"
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_LONG = 80
_PAGE = 300
_SEEN = 1500
_MANY_WORDS = 10
_GREATEST_SCORES = {"same": 2.1, "same, long": 1.75, "unknown": 1.35, "other": 1.1, "a page": 1.25}
_CODE = re.compile(r"\s*([a-zA-Z]{2,3})(?![a-zA-Z])")
_ENGLISH_WORDS = """
the of and a an in on at with to for from by is are was as it its this that these his her their my your our into over under
through near behind between among while during after before or not who which
"""
# Without what is an English word as well, or stands in many English names.
_OTHER_WORDS = """
der das dem des ein eine einer eines einem einen und mit für von vom auf im zum zur ist nicht auch bei aus nach über oder
le les une du au aux et est dans sur avec pour par qui que à chez sous leur ses ou
una unos del con por para y en su al se lo más desde entre sobre
il gli di della dello dei delle nel nella che è per alla sul sulla tra un
um uma uns os da dos na nos nas ao com não em pelo pela seu sua
het een voor op naar uit zijn niet ook dat aan
og på med af til och för ett det som är ved ikke inte från fra av
ze od przez jest się nie dla ve za je při bir ile için bu olan
yang untuk dengan pada ini si cu din és az egy tai ja
"""
_ENGLISH = frozenset(_ENGLISH_WORDS.split())
_FOREIGN = frozenset(_OTHER_WORDS.split())


def check_language(wanted: str) -> None:
    """ValueError for a language that cannot be told."""
    known = require("resiliparse.parse.lang", extra="data").supported_langs()
    if wanted != ANY and wanted not in known:
        raise ValueError(f"--language {wanted}: not known; give {ANY}, or one of {', '.join(sorted(known))}")


def code_of(declared: str) -> str:
    """The language of a declaration such as en-US in small letters; empty where it is none."""
    found = _CODE.match(declared)
    return found[1].lower() if found else ""


def detected(text: str) -> str:
    """The language of a longer text by resiliparse; empty where it cannot tell."""
    found: str = require("resiliparse.parse.lang", extra="data").detect_fast(text[:5000])[0]
    return "" if found == "unknown" else found


def page_language(declared: str, text: str) -> str:
    """A page's language: of 300 characters or more what they are in, for many declare what a template had; else as declared."""
    if len(text) < _PAGE:
        return code_of(declared)
    if english_score(text[:_SEEN]) <= _GREATEST_SCORES["a page"]:
        return "en"
    return detected(text) or code_of(declared)


def language_of(text: str, page: str, wanted: str) -> str:
    """The language of a cleaned text on a page in the language `page` (or empty): `wanted` only where it is it for the rule of
    that language; empty where nothing can be told.
    """
    if wanted == ANY:
        return (detected(text) if len(text) >= _LONG else "") or page
    if wanted == "en":
        if is_english(text, page):
            return "en"
        return page if page != "en" else ""
    if len(text) >= _LONG:
        return detected(text) or page
    return "en" if is_english(text, page or wanted) else page


def is_english(text: str, page: str = "") -> bool:
    """Whether a text is English, by its score and how much its page's language leads one to expect."""
    score = english_score(text)
    if page == "en":
        return score <= _GREATEST_SCORES["same, long" if len(text.split()) >= _MANY_WORDS else "same"]
    return score <= _GREATEST_SCORES["other" if page else "unknown"]


def english_score(text: str) -> float:
    """How many pieces of CLIP's tokenizer a word has on average, more by the share of other languages' small words, less by
    that of English ones; 99 where more than every tenth letter is not Latin, and where there is no word.
    """
    words = [word.lower() for word in _WORD.findall(text)]
    if not words or not (text.isascii() or _is_latin(text)):
        return 99.0
    pieces = sum(_num_pieces(word) for word in words)
    foreign = sum(word in _FOREIGN for word in words)
    english = sum(word in _ENGLISH for word in words)
    return (pieces + 1.5 * foreign - 0.5 * english) / len(words)


def _is_latin(text: str) -> bool:
    letters = [one for one in text if one.isalpha()]
    return sum(1 for one in letters if one.isascii() or unicodedata.name(one, "").startswith("LATIN")) >= 0.9 * len(letters)


@lru_cache(maxsize=1 << 16)
def _num_pieces(word: str) -> int:
    return len(_tokenizer().encode(word[:60], add_special_tokens=False).ids)


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    import tokenizers

    return tokenizers.Tokenizer.from_str((files("fullclip") / "assets/tokenizer.json").read_text(encoding="utf-8"))
