"""Small dumps of Wikipedia, page-view files and dictionaries for tests of lists of queries."""

import bz2
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

NAMESPACES = {"-2": "Media", "0": "", "1": "Talk", "6": "Datei", "14": "Kategorie", "10": "Vorlage"}
LICENCE = "".join(f"  {number} a line of the licence  \n" for number in range(1, 30))


def page(title: str, text: str, *, ns: str | None = "0", more: str = "") -> str:
    number = "" if ns is None else f"<ns>{ns}</ns>"
    return (
        f"<page><title>{escape(title)}</title>{number}<id>1</id>{more}<revision><id>2</id>"
        f"<contributor><username>x</username></contributor><model>wikitext</model>"
        f'<text xml:space="preserve">{escape(text)}</text></revision></page>\n'
    )


def dump_text(pages: Sequence[str]) -> str:
    names = "".join(f'<namespace key="{key}" case="first-letter">{name}</namespace>' for key, name in NAMESPACES.items())
    head = f"<siteinfo><sitename>Wikipedia</sitename><namespaces>{names}</namespaces></siteinfo>\n"
    return f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/">{head}{"".join(pages)}</mediawiki>\n'


def write_dump(path: Path, pages: Sequence[str]) -> str:
    """As bz2 in three streams, as Wikipedia's multistream dumps are."""
    data = dump_text(pages).encode()
    third = len(data) // 3
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(bz2.compress(data[at : at + third]) for at in range(0, len(data), third)))
    return str(path)


def write_dictionary(folder: Path, lines: Sequence[str], *, name: str = "data.noun") -> str:
    """WordNet's own format; `lines`: the words of a synset, its name first."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, line in enumerate(lines):
        words = line.split()
        rows.append(f"{number:08d} 03 n {len(words):02x} {' '.join(f'{word} 0' for word in words)} 000 | a gloss  \n")
    (folder / name).write_text(LICENCE + "".join(rows), encoding="utf-8")
    return str(folder)
