"""SVG files in, drawings with an English title, keywords and captions out. Knows nothing of pictures or shards.

The metadata is what the authors of the clip art wrote (RDF: dc:title, dc:subject, dc:description, dc:creator).
"""

import hashlib
import html
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from xml.parsers import expat

import sample_words as words


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One drawing: what its metadata says, then what is made of it."""

    path: str
    title: str = ""
    description: str = ""
    author: str = ""
    language: str = ""
    keywords: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        return self.path.rsplit("/", 1)[0]

    @property
    def order(self) -> str:
        """A fixed random number, so that a choice among drawings follows neither names nor folders."""
        return hashlib.sha256(self.path.encode()).hexdigest()


def read_metadata(svg: Path, root: Path) -> Drawing:
    """The fields of one SVG. ValueError for broken XML, XML that declares entities (it could explode), a linked picture."""
    fields: dict[str, list[str]] = defaultdict(list)
    stack: list[str] = []
    text: list[str] = []

    def end(name: str) -> None:
        value = repair(html.unescape(" ".join("".join(text).split())))
        tail = tuple(stack[-2:])
        if "creator" in stack and tail == ("Agent", "title"):
            fields["author"].append(value)
        elif tail[0] == "Work" and name in ("title", "description", "language"):
            fields[name].append(value)
        elif name == "li" and "subject" in stack:
            fields["keyword"].append(value)
        stack.pop()
        text.clear()

    def start(name: str, attributes: dict[str, str]) -> None:
        if name.rsplit(":", 1)[-1] == "image" and not attributes.get("xlink:href", "data:").startswith(("data:", "#")):
            raise ValueError("picture lies in another file")
        stack.append(name.rsplit(":", 1)[-1])
        text.clear()

    def refuse(*_declaration: object) -> None:
        raise ValueError("XML declares entities")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda name: end(name.rsplit(":", 1)[-1])
    parser.CharacterDataHandler = text.append
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(svg.read_bytes(), True)
    except expat.ExpatError:
        raise ValueError("broken XML") from None
    first = {name: next((value for value in values if value), "") for name, values in fields.items()}
    return Drawing(
        path=svg.relative_to(root).as_posix(),
        title=first.get("title", ""),
        description=first.get("description", ""),
        author=re.sub(r"\s*[(<\[].*", "", first.get("author", "")),
        language=first.get("language", "en").lower()[:2],
        keywords=tuple(fields["keyword"]),
    )


def repair(text: str) -> str:
    """UTF-8 that was once read as Latin-1 and saved again."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def read_drawings(root: Path, counts: Counter[str]) -> list[Drawing]:
    """Every distinct SVG file once (a drawing filed in several folders counts in the deepest), unreadable ones counted."""
    drawings, seen = [], set()
    for svg in sorted(root.rglob("*.svg"), key=lambda path: (-len(path.parts), path.as_posix())):
        counts["read"] += 1
        digest = hashlib.sha256(svg.read_bytes()).digest()
        if digest in seen:
            counts["dropped: same file in another folder"] += 1
            continue
        seen.add(digest)
        try:
            drawings.append(read_metadata(svg, root))
        except ValueError as error:
            counts[f"dropped: {error}"] += 1
    return drawings


def split_words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


def stem_of(title: str) -> str:
    """What a series has in common: no digits, colours, brackets, or plural."""
    without = re.sub(r"\([^)]*\)|, black and white", " ", title.lower())
    kept = [word for word in split_words(without) if len(word) > 1 and word not in words.SERIES_WORDS]
    return " ".join(word[:-1] if word.endswith("s") and len(word) > 3 else word for word in kept)


def name_from_file(drawing: Drawing) -> str:
    """The words of a file name, without the author and the number that the library appended to it."""
    name = re.sub(r"v\d+(\.\d+)*$", "", drawing.path.rsplit("/", 1)[1].removesuffix(".svg"))
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.sub(r"^\d+(?=[a-z_])", "", name))
    name = " ".join(re.split(r"[\s_\-.]+", name)).strip()
    author = drawing.author.lower()[:6]
    if author and f" {author}" in name.lower():
        name = name[: name.lower().index(f" {author}")]
    kept = [word for word in name.split() if word.lower() not in words.FILE_NAME_WORDS]
    return tidy_title(re.sub(r"[\s\d]+$", "", " ".join(kept)))


def tidy_title(title: str) -> str:
    """The title as its author wrote it, without the numbers, underscores and labels of a file."""
    title, num_black_and_white = re.subn(r"\s*\(?\bB\s?(and|&|_)\s?W\b\)?|[ _]bw$|(?<=\d) BW$", "", title)
    title = re.sub(r"\.svg$|^\d\d_(?=[a-z])", "", title)
    title = re.sub(r" - (RPG map elements?|body part|clothing)$", "", title)
    title = re.sub(r"\s*\|.*|\s*\((?i:colou?r|transparent fix|contour)\)|\s+\d+(?= (filled )?pattern$)", "", title)
    if " " not in title.strip():
        title = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.sub(r"[_\-]+", " ", title))
    title = re.sub(r"[_\s]+", " ", title)
    title = re.sub(r"\s*(#|\bno\.?)?\s*\b\d+\w?$|(?<=[a-z])\d+$|\s+I+$", "", title)
    spelt = [words.TITLE_SPELLINGS.get(word.lower(), word) for word in title.split(" ")]
    title = " ".join(" ".join(spelt).split()).strip(" -_,.:#")
    return f"{title}, black and white" if num_black_and_white and title else title


def is_collection(title: str) -> bool:
    return not title or any(title.lower().startswith(start) for start in words.COLLECTION_TITLES)


def english_vocabulary(drawings: Iterable[Drawing]) -> frozenset[str]:
    """Words that at least two drawings have in their titles or keywords; titles of foreign authors do not count."""
    seen: Counter[str] = Counter()
    for drawing in drawings:
        texts = list(drawing.keywords)
        if drawing.language == "en" and not is_collection(drawing.title) and not is_foreign_author(drawing):
            texts.append(tidy_title(drawing.title))
        seen.update({word for text in texts for word in split_words(text)})
    return frozenset(word for word, count in seen.items() if count >= 2 and len(word) > 2)


def is_foreign_author(drawing: Drawing) -> bool:
    return any(name in drawing.author.lower() for name in words.FOREIGN_AUTHORS)


def translate(title: str) -> str:
    """The English of a foreign title that the table knows, or an empty string."""
    plain = title.lower().removesuffix(", black and white")
    english = words.TRANSLATED_TITLES.get(plain, "")
    return f"{english}, black and white" if english and plain != title.lower() else english


def title_of(drawing: Drawing, vocabulary: frozenset[str]) -> str:
    """An English title. Raises ValueError with the reason where there is none."""
    from_file = is_collection(drawing.title)
    title = name_from_file(drawing) if from_file else tidy_title(drawing.title)
    place = words.PLACE_KEYWORDS.intersection(drawing.keywords)
    translated = translate(title)
    if translated and "flag" not in place:
        return translated
    spoken = split_words(title)
    says_nothing = title.lower() in words.EMPTY_TITLES or drawing.title.lower().startswith(words.EMPTY_STARTS)
    if says_nothing or len("".join(spoken)) < 2 or len(title) > 70 or set(spoken) <= set(split_words(drawing.author)):
        raise ValueError("title says nothing")
    if re.search(r"https?:|www\.|@|[^\x20-\x7e\u00c0-\u017f\u2019]", title) or "hash(" in title.lower():
        raise ValueError("title says nothing")
    if drawing.title.lower().startswith(words.ICON_THEMES) and not words.ICON_SUBJECTS.issuperset(spoken):
        raise ValueError("title is the name of a program or a menu entry")
    if from_file and not place and not all(len(word) > 2 or word in words.SHORT_WORDS for word in spoken):
        raise ValueError("title is only a file name")
    in_english = drawing.title.startswith("AIGA") or not is_foreign_author(drawing)
    if not in_english and not all(word in vocabulary for word in spoken if len(word) > 1):
        raise ValueError("title is not English")
    if not place and (words.FOREIGN_WORDS.intersection(spoken) or drawing.language not in ("en", "al", "n/")):
        raise ValueError("title is not English")
    return title


def name_place(title: str, drawing: Drawing) -> str:
    """Flags and maps are often called like their country."""
    title = re.sub(r"^(.+?) - (.+)$", r"\1, \2", title)
    if "map" in drawing.keywords and not re.search(r"\bmap|globe|outline|flag", title, re.IGNORECASE):
        return f"map of {title}"
    flag = words.PLACE_KEYWORDS.difference({"map"}).intersection(drawing.keywords)
    if flag and drawing.path.startswith("signs_and_symbols") and not re.search(r"flag|map\b|pirate", title, re.IGNORECASE):
        name, num_historic = re.subn(r"^historic[ ,\-]+", "", title, flags=re.IGNORECASE)
        return f"historic flag of {name}" if num_historic else f"flag of {name}"
    return title


def keywords_of(drawing: Drawing, frequency: Counter[str]) -> tuple[str, ...]:
    """The keywords that describe the picture, the rarest (most telling) first."""
    refused = words.EMPTY_KEYWORDS.union(split_words(drawing.author))
    if drawing.title.lower().startswith(words.ICON_THEMES):
        refused |= {"computer"}
    if not words.PLACE_KEYWORDS.isdisjoint(drawing.keywords):
        refused |= {"sign"}
    kept = set()
    for keyword in drawing.keywords:
        plain = keyword.lower().strip()
        plain = words.KEYWORD_SPELLINGS.get(plain, plain).replace("_", " ")
        parts = {*plain.split(), plain, plain.replace(" ", "_")}
        readable = re.fullmatch(r"[a-z][a-z' \-]{2,23}", plain) and max(map(len, plain.split())) <= 15
        if readable and not parts & refused and not parts & words.FOREIGN_WORDS:
            kept.add(plain)
    common = {keyword for keyword in kept if frequency[keyword] >= 2}
    chosen = common if len(common) >= 2 else kept
    return tuple(sorted(chosen, key=lambda keyword: (frequency[keyword], keyword))[:6])


def description_of(drawing: Drawing, title: str, vocabulary: frozenset[str]) -> str:
    """The description, if it is one short English sentence about the picture; otherwise nothing."""
    text = drawing.description.strip(" .")
    spoken = split_words(text)
    if not 3 <= len(spoken) <= 14 or len(text) > 90 or text.lower() == title.lower():
        return ""
    if words.NOT_DESCRIBING.search(text) or words.FOREIGN_WORDS.intersection(spoken) or not text.isascii():
        return ""
    return text if sum(word in vocabulary for word in spoken) >= 0.6 * len(spoken) else ""


def write_texts(drawings: list[Drawing], counts: Counter[str]) -> list[Drawing]:
    """Give every drawing its title, keywords and captions; drop the ones without a good text or with a refused word."""
    vocabulary = english_vocabulary(drawings)
    frequency = Counter(keyword.lower().replace("_", " ") for drawing in drawings for keyword in drawing.keywords)
    written = []
    for drawing in drawings:
        name = drawing.path.rsplit("/", 1)[1].removesuffix(".svg")
        said = [drawing.title, drawing.description, *drawing.keywords, *([name] if is_collection(drawing.title) else [])]
        if words.REFUSED_WORDS.intersection(split_words(" ".join(said).replace("_", " "))) or name in words.REFUSED_FILES:
            counts["dropped: refused word"] += 1
            continue
        try:
            title = title_of(drawing, vocabulary)
        except ValueError as error:
            counts[f"dropped: {error}"] += 1
            continue
        title = name_place(title, drawing)
        keywords = keywords_of(drawing, frequency)
        new = [keyword for keyword in keywords if keyword not in title.lower()]
        texts = [title, ", ".join([title, *new[:3]]), ", ".join(keywords[:5]) if len(keywords) > 1 else ""]
        texts.append(description_of(drawing, title, vocabulary))
        captions = {text.lower(): text for text in reversed(texts) if text}
        ordered = sorted(captions.values(), key=lambda text: [text.lower() == t.lower() for t in texts].index(True))
        written.append(replace(drawing, title=title, keywords=keywords, captions=tuple(ordered)))
    return written
