"""README.ja.md keeps step with README.md: section by section the same blocks, commands, links and figures."""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby, zip_longest
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LANGUAGES = {"README.md", "README.ja.md"}

COMMENT = re.compile(r"(?:^|\s+)#\s+(.*)$")
CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
SPELLED = {word: str(n) for n, word in enumerate(WORDS, start=1)} | {"once": "1 times", "twice": "2 times"}
SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "万": 10**4, "億": 10**8}
UNITS = {
    "%": "%|percent|パーセント",
    "KB": "KB",
    "MB": "MB",
    "GB": "GB",
    "s": "seconds?|s|秒",
    "min": "minutes?|min|分(?!の)",
    "h": "hours?|h|時間",
    "times": "times|倍|回",
}
FIGURE = re.compile(
    r"(?<![A-Za-z0-9_./-])(\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?)"
    + rf"(?:[\s-]?({'|'.join(SCALES)})(?![A-Za-z]))?"
    + rf"(?:[\s-]?(?:{'|'.join(f'({words})' for words in UNITS.values())})(?![A-Za-z]))?"
)


@dataclass(frozen=True)
class Section:
    """What follows a heading ("" before the first). `prose`: all that people read, comments in code among it."""

    heading: str
    blocks: list[str]
    code: list[str]
    comments: list[str]
    prose: str

    @property
    def level(self) -> int:
        return len(self.heading) - len(self.heading.lstrip("#"))


def sections(page: str) -> list[Section]:
    """A page in Markdown, cut before each heading; a # in a block of code is none."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    fenced = False
    for line in page.splitlines():
        fenced ^= line.startswith("```")
        if re.match(r"#+ ", line) and not fenced:
            parts.append((line, []))
        else:
            parts[-1][1].append(line)
    return [section(heading, lines) for heading, lines in parts]


def section(heading: str, lines: list[str]) -> Section:
    blocks, code, comments, prose = [], [], [], [heading]
    for i, text in enumerate("\n".join(["", *lines]).split("\n```")):
        block = text.split("\n")
        if i % 2:  # between two fences
            language, *rest = block
            blocks.append(f"code of {len(rest)} lines ({language})")
            code += [COMMENT.sub(" #", line) for line in rest]
            comments += [found[1] for line in rest if (found := COMMENT.search(line))]
        else:
            blocks += [kind(list(group)) for filled, group in groupby(block, key=bool) if filled]
            prose += block
    return Section(heading, blocks, code, comments, "\n".join(prose + comments))


def kind(lines: list[str]) -> str:
    if lines[0].startswith("|"):
        return f"table of {len(lines)} lines"
    items = sum(bool(re.match(r"[-*] |\d+\. ", line)) for line in lines)
    return f"list of {items}" if items else "paragraph"


def figures(text: str) -> Counter[str]:
    """Numbers in digits with their units, in one spelling for both languages; not those in code, links' targets and names."""
    text = LINK.sub("]", CODE.sub("", unicodedata.normalize("NFKC", text)))
    found: Counter[str] = Counter()
    for digits, scale, *units in FIGURE.findall(text):
        value = f"{(Decimal(digits.replace(',', '')) * SCALES[scale]).normalize():,f}" if scale else digits
        unit = next((name for name, spelling in zip(UNITS, units, strict=True) if spelling), "")
        found[f"{value} {unit}".strip()] += 1
    return found


def with_spelled(text: str) -> Counter[str]:
    """The figures of an English text, those in words among them."""
    return figures(re.sub(r"[A-Za-z]+", lambda word: SPELLED.get(word[0].lower(), word[0]), text))


def missing_and_foreign(english: str, japanese: str) -> tuple[Counter[str], Counter[str]]:
    """(figures that the Japanese text lacks, those that the English one does not have). A number that is a word in English
    ("nine architectures") may be digits in Japanese or none, unless it measures something ("three minutes").
    """
    written, all_of_them, found = figures(english), with_spelled(english), figures(japanese)
    spelled = all_of_them - written
    measured = Counter({figure: n for figure, n in spelled.items() if figure.split()[-1] in UNITS.keys() - {"times"}})
    return written + measured - found, found - all_of_them


def compare(english: Section, japanese: Section) -> list[str]:
    here = f"{english.heading or 'before the first heading'} / {japanese.heading or '-'}: "
    found = []
    for what, ours, theirs in (("blocks", english.blocks, japanese.blocks), ("code", english.code, japanese.code)):
        pairs = ((a, b) for a, b in zip_longest(ours, theirs, fillvalue="nothing") if a != b)
        found += [f"{here}{what}: {a!r} in English is {b!r} in Japanese" for a, b in list(pairs)[:1]]
    for what, pattern in (("link", LINK), ("code in a sentence", CODE)):
        ours, theirs = (set(pattern.findall(each.prose)) - LANGUAGES for each in (english, japanese))
        found += [f"{here}{what}: {each!r} is in English only" for each in sorted(ours - theirs)]
        found += [f"{here}{what}: {each!r} is in Japanese only" for each in sorted(theirs - ours)]
    missing, foreign = missing_and_foreign(english.prose, japanese.prose)
    found += [f"{here}figure: {figure!r} is in English only" for figure in missing.elements()]
    found += [f"{here}figure: {figure!r} is in Japanese only" for figure in foreign.elements()]
    texts = [] if japanese.level == 1 else [japanese.heading]
    found += [f"{here}not translated: {text!r}" for text in [*texts, *japanese.comments] if text and not JAPANESE.search(text)]
    return found


def differences(english: str, japanese: str) -> list[str]:
    """What of two pages does not agree, a line each; where their headings do not, only the first of them."""
    ours, theirs = sections(english), sections(japanese)
    for a, b in zip_longest(ours, theirs, fillvalue=Section("", [], [], [], "")):
        if a.level != b.level:
            return [f"heading {a.heading or 'none'!r} in English is {b.heading or 'none'!r} in Japanese"]
    return [line for a, b in zip(ours, theirs, strict=True) for line in compare(a, b)]


def test_the_two_pages_are_in_step():
    english, japanese = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ja.md"))
    found = differences(english, japanese)
    assert not found, "README.ja.md and README.md differ:\n" + "\n".join(found)


@pytest.mark.parametrize(("page", "line"), [("README.md", "[日本語](README.ja.md)"), ("README.ja.md", "[English](README.md)")])
def test_each_page_opens_with_the_other(page, line):
    title, *_, second = (ROOT / page).read_text(encoding="utf-8").splitlines()[:3]
    assert (title, second) == ("# fullclip", line)


ENGLISH = """# name

One loss ([paper](https://a.b/c)), 7 times as fast, in three minutes: `run --now`.

## Use

```sh
run all     # five steps
```

| a | b |
|---|---|
| memory | 159 MB at 400 million pairs, 9 models |
"""
JAPANESE_PAGE = """# name

`run --now` で 3 分、7 倍の速さ、損失は一つ（[論文](https://a.b/c)）。

## 使い方

```sh
run all   # 5 段階
```

| あ | い |
|---|---|
| メモリ | 4 億ペアで 159 MB、9 種のモデル |
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("## 使い方", "### 使い方", "heading '## Use' in English is '### 使い方' in Japanese"),
        ("## 使い方\n", "", "heading '## Use' in English is 'none' in Japanese"),
        ("run all ", "run one ", "## Use / ## 使い方: code: 'run all #' in English is 'run one #' in Japanese"),
        ("   # 5 段階", "", "## Use / ## 使い方: code: 'run all #' in English is 'run all' in Japanese"),
        ("|---|---|\n", "", "## Use / ## 使い方: blocks: 'table of 3 lines' in English is 'table of 2 lines' in Japanese"),
        ("https://a.b/c", "https://a.b/d", "# name / # name: link: 'https://a.b/d' is in Japanese only"),
        ("`run --now`", "`run`", "# name / # name: code in a sentence: 'run --now' is in English only"),
        ("159 MB", "15 MB", "## Use / ## 使い方: figure: '159 MB' is in English only"),
        ("159 MB", "159 GB", "## Use / ## 使い方: figure: '159 GB' is in Japanese only"),
        ("4 億", "4 万", "## Use / ## 使い方: figure: '400,000,000' is in English only"),
        ("3 分、", "", "# name / # name: figure: '3 min' is in English only"),
        ("7 倍", "8 倍", "# name / # name: figure: '8 times' is in Japanese only"),
        ("5 段階", "6 段階", "## Use / ## 使い方: figure: '6' is in Japanese only"),
        ("5 段階", "steps", "## Use / ## 使い方: not translated: 'steps'"),
        ("使い方", "Use", "## Use / ## Use: not translated: '## Use'"),
    ],
)
def test_a_change_of_one_page_is_named(old, new, message):
    assert differences(ENGLISH, JAPANESE_PAGE) == []
    assert message in differences(ENGLISH, JAPANESE_PAGE.replace(old, new))


@pytest.mark.parametrize(
    ("english", "japanese"),
    [
        ("0.3 s, 12 minutes, 2 hours, a 3-minute run", "0.3秒、12 分、2 時間、3 分間の実行"),
        ("95% of 1,000", "１，０００件の９５％"),
        (
            "Python 3.10, 1e-5, ViT-B-32, `x=7`, [5 of them](docs/0004.md), float64",
            "Python 3.10、1e-5、SHA-256、`y=8`、[5 件](a/2)、FSDP2",
        ),
        ("45,000 and 2.5 billion", "4.5 万と 25 億"),
    ],
)
def test_figures_are_the_same_in_both_languages(english, japanese):
    assert missing_and_foreign(english, japanese) == (Counter(), Counter())


def test_a_word_for_a_number_may_be_digits_or_none():
    assert missing_and_foreign("nine architectures", "9 種") == missing_and_foreign("nine architectures", "九種") == ({}, {})
    assert missing_and_foreign("nine architectures", "8 種") == ({}, {"8": 1})
    assert missing_and_foreign("nine minutes", "九分") == ({"9 min": 1}, {})
