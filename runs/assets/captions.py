"""Make tests/data_files/captions.txt.gz, real texts in over a hundred languages on which tokenizers are compared.

Comes in: three Debian packages (their licences stand in tests/data_files/README.md). Goes out: one text a line, each once;
white space inside a text is folded, all else (entities, mojibake, punctuation) stays as its authors wrote it.

    apt-get install openclipart-svg unicode-cldr-core wordnet-base
    python runs/assets/captions.py
"""

import argparse
import gzip
import hashlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

from sample_words import REFUSED_WORDS

NUM_PER_LANGUAGE = 60
NUM_GLOSSES = 9_000
# WordNet's files of nouns that can be pictured: animals, artifacts, food, natural objects, plants.
PICTURED = {"05", "06", "13", "17", "20"}


def drawings(folder: Path) -> Iterator[str]:
    """Titles, descriptions and lists of keywords of clip art."""
    for path in sorted(folder.rglob("*.svg")):
        source = path.read_text(encoding="utf-8", errors="ignore")
        metadata = re.sub(r"<(cc:Agent).*?</\1>", "", source.partition("</metadata>")[0], flags=re.DOTALL)
        yield from re.findall(r"<dc:(?:title|description)>([^<]*)<", metadata)
        yield ", ".join(re.findall(r"<rdf:li>([^<]*)<", metadata))


def emoji_names(folder: Path) -> Iterator[str]:
    """An emoji and its name, in each language of the CLDR; which ones, is by chance but fixed."""
    for path in sorted(folder.glob("*.xml")):
        named = re.findall(r'<annotation cp="([^"]+)" type="tts">([^<]+)<', path.read_text(encoding="utf-8"))
        found = sorted((f"{emoji} {name}" for emoji, name in named if name != "↑↑↑"), key=in_fixed_order)
        yield from found[:NUM_PER_LANGUAGE]


def glosses(file: Path) -> Iterator[str]:
    """Definitions and examples of nouns."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line[9:11] in PICTURED]
    found = sorted((line.partition(" | ")[2] for line in lines), key=in_fixed_order)
    yield from found[:NUM_GLOSSES]


def in_fixed_order(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--openclipart", type=Path, default="/usr/share/openclipart/svg")
    parser.add_argument("--cldr", type=Path, default="/usr/share/unicode/cldr/common/annotations")
    parser.add_argument("--wordnet", type=Path, default="/usr/share/wordnet/data.noun")
    folders = parser.parse_args()
    found = [*drawings(folders.openclipart), *emoji_names(folders.cldr), *glosses(folders.wordnet)]
    texts = dict.fromkeys(" ".join(text.split()) for text in found)
    kept = [text for text in texts if text and not REFUSED_WORDS & set(re.findall(r"\w+", text.lower()))]
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9, filename="", mtime=0) as file:
        file.write("".join(f"{text}\n" for text in kept).encode())
    target = Path(__file__).parents[2] / "tests/data_files/captions.txt.gz"
    target.write_bytes(packed.getvalue())
    print(f"{target}: {len(kept):,} texts, {len(packed.getvalue()):,} bytes")


if __name__ == "__main__":
    main()
