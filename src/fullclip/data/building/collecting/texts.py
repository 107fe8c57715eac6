"""Rules for texts: each says why a text is left out. Cleaned text in, the first reason out, or none.

A word is what stands between spaces and holds a letter or a digit; of scripts without spaces every character is one.
"""

import html
import re
import unicodedata
from collections import Counter
from functools import lru_cache
from importlib.resources import files

from fullclip.data.building.collecting.markup import mended
from fullclip.data.building.collecting.settings import TextRules

_MAX_RAW = 20_000
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,2000}>")
_SPACES = re.compile(r"\s+")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_FILE = re.compile(r"[^/]{1,200}\.(?:jpe?g|png|gif|webp|bmp|tiff?|svg|avif|heic|pdf|php|html?|mp4)(?:\?\S*)?", re.IGNORECASE)
_CAMERA = re.compile(
    r"(?:img|dscn?|dscf|pict?|p|pxl|screen ?shot|image|photo|picture|foto|slide|figure|fig\.?|untitled|unnamed|scan)"
    r"[0-9 _():.,#-]*[0-9][0-9 _():.,#-]*(?:copy|at|of|x)?[0-9 _():.,#-]*(?:am|pm)?",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|[^\s@]+@[^\s@]+|[^\s/]+\.(?:com|org|net|co\.uk|de|fr)(?:/\S*)?", re.IGNORECASE)
_CODE = re.compile(
    r"[{}]|<[a-z/!?]|/>|\$\(|\bfunction ?\(|&&|\|\||\[/?(?:caption|gallery|img|url|video|embed)\b|%[a-z_]{2,30}%|=\"",
    re.IGNORECASE,
)
_RUN = re.compile(r"(\S)\1{5,}")
_DATES = """
january february march april may june july august september october november december
jan feb mar apr jun jul aug sep sept oct nov dec
monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs fri sat sun
am pm at on of the st nd rd th to gmt utc posted date published updated
"""
_DATE_WORDS = frozenset(_DATES.split())
_ORDINAL = re.compile(r"[0-9]+(?:st|nd|rd|th|am|pm|h)?")
_SIGNS = "logo icon avatar thumbnail banner button arrow spacer emoji badge favicon placeholder thumb gravatar"
_LAST_WORDS = frozenset(_SIGNS.split())
_SEPARATORS = re.compile(r"[,;|/•·#]")
_MIN_STUFFED = 6


def clean(text: str) -> str:
    """A text as it is meant to be read: references resolved (twice: many are escaped twice), tags, control and format
    characters gone, composed (NFC), single spaces.
    """
    text = mended(text[: 2 * _MAX_RAW])
    if "&" in text:
        text = html.unescape(html.unescape(text))
    if "<" in text:
        text = _TAG.sub(" ", text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if not text.isprintable():
        text = "".join(one for one in text if one.isspace() or unicodedata.category(one) not in ("Cc", "Cf", "Co", "Cn"))
    return _SPACES.sub(" ", text).strip()


def reason_of_text(text: str, rules: TextRules) -> str | None:
    """Why a cleaned text is left out; None where it stays."""
    if not text:
        return "text: empty"
    if len(text) < rules.min_characters:
        return f"text: under {rules.min_characters} characters"
    if len(text) > rules.max_characters:
        return f"text: over {rules.max_characters:,} characters"
    if "\ufffd" in text:
        return "text: broken characters"
    if _FILE.fullmatch(text) or _CAMERA.fullmatch(text):
        return "text: a file's name"
    if _ADDRESS.fullmatch(text):
        return "text: an address"
    if is_date(text):
        return "text: a date or a number"
    if is_boilerplate(text):
        return "text: boilerplate"
    return _reason_of_words(text, rules)


def _reason_of_words(text: str, rules: TextRules) -> str | None:
    count = num_words(text)
    if count < rules.min_words:
        return f"text: under {rules.min_words} words"
    if count > rules.max_words:
        return f"text: over {rules.max_words:,} words"
    if any(len(word) > rules.max_word_characters for word in text.split()) and not _UNSPACED.search(text):
        return f"text: a word over {rules.max_word_characters} characters"
    if _CODE.search(text):
        return "text: code"
    if share_of_letters(text) < rules.min_letters:
        return f"text: under {rules.min_letters:.0%} letters"
    if _RUN.search(text) or is_repeated(text, rules.max_repeated):
        return "text: repeats itself"
    if is_stuffed(text):
        return "text: a list of keywords"
    if is_shouted(text, rules.max_capitals):
        return "text: in capitals"
    return None


def num_words(text: str) -> int:
    """How many words a text has."""
    if not text.isascii() and (unspaced := len(_UNSPACED.findall(text))):
        return unspaced + sum(1 for part in _UNSPACED.sub(" ", text).split() if _WORD.search(part))
    return sum(1 for part in text.split() if _WORD.search(part))


def share_of_letters(text: str) -> float:
    """Letters among the characters of a cleaned text that are no spaces; marks that belong to letters count as such."""
    if text.isascii():
        return sum(map(str.isalpha, text)) / max(1, len(text) - text.count(" "))
    shown = [one for one in text if not one.isspace()]
    return sum(1 for one in shown if one.isalpha() or unicodedata.category(one)[0] == "M") / max(1, len(shown))


def is_date(text: str) -> bool:
    """Whether nothing is said but numbers and words of dates, with a number among them."""
    words = [word.lower() for word in _WORD.findall(text)]
    numbers = [word for word in words if _ORDINAL.fullmatch(word)]
    return bool(numbers) and all(word in _DATE_WORDS or _ORDINAL.fullmatch(word) for word in words)


def is_repeated(text: str, share: float) -> bool:
    """Whether one word makes up more than `share` of four or more, or of eight or more each stands twice on average."""
    words = [word.lower() for word in _WORD.findall(text)]
    if len(words) < 4:
        return False
    counts = Counter(words)
    return max(counts.values()) > share * len(words) or (len(words) >= 8 and len(words) >= 2 * len(counts))


def is_stuffed(text: str) -> bool:
    """Whether it is a list of six or more parts with two words or less each on average."""
    parts = [part for part in _SEPARATORS.split(text) if part.strip()]
    return len(parts) >= _MIN_STUFFED and num_words(text) <= 2 * len(parts)


def is_shouted(text: str, share: float) -> bool:
    """Whether more than `share` of the letters of eight or more words are capitals."""
    return num_words(text) >= 8 and sum(map(str.isupper, text)) > share * sum(map(str.isalpha, text))


def is_boilerplate(text: str) -> bool:
    """Whether it is in boilerplate.txt, or up to four words whose last says that no picture is meant ("our logo")."""
    words = [word.lower() for word in _WORD.findall(text)]
    if not words:
        return False
    whole, beginnings = _boilerplate()
    said = " ".join(words)
    if said in whole or any(said.startswith(one) for one in beginnings):
        return True
    return len(words) <= 4 and words[-1] in _LAST_WORDS


@lru_cache(maxsize=1)
def _boilerplate() -> tuple[frozenset[str], tuple[str, ...]]:
    """Whole texts, and beginnings of texts, which end with * in the file."""
    lines = (files("fullclip") / "data/building/collecting/boilerplate.txt").read_text(encoding="utf-8").splitlines()
    entries = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    beginnings = tuple(one.removesuffix("*") for one in entries if one.endswith("*"))
    return frozenset(one for one in entries if not one.endswith("*")), beginnings
