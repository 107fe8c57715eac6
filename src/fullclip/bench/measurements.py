"""What is measured, by name, in the order of the table; some or all of it, one after another."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fullclip.bench.agreement import agreement
from fullclip.bench.ceiling import ceiling
from fullclip.bench.classifier import classifier
from fullclip.bench.decoding import decoding
from fullclip.bench.exported import exported
from fullclip.bench.files import files
from fullclip.bench.first_answer import first_answer
from fullclip.bench.images import batches, images
from fullclip.bench.memory import memory
from fullclip.bench.rows import Row
from fullclip.bench.texts import texts, tokenizer
from fullclip.bench.workbench import Workbench
from fullclip.core.config import lookup


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One part of the table: what makes its rows, and what it is about."""

    rows: Callable[[Workbench], Iterator[Row]]
    about: str


MEASUREMENTS: dict[str, Measurement] = {
    "ceiling": Measurement(rows=ceiling, about="matrix products, the machine's ceiling"),
    "images": Measurement(rows=images, about="pixels through the image tower, beside the peers"),
    "batches": Measurement(rows=batches, about="the same by size of batch"),
    "exported": Measurement(rows=exported, about="the same, exported (writing it takes longest)"),
    "texts": Measurement(rows=texts, about="a classifier's sentences through the text tower, beside the peers"),
    "tokenizer": Measurement(rows=tokenizer, about="captions to tokens"),
    "classifier": Measurement(rows=classifier, about="an ImageNet-sized classifier, beside openai/CLIP's loop"),
    "decoding": Measurement(rows=decoding, about="JPEGs to pixels on one thread"),
    "files": Measurement(rows=files, about="JPEG files to embeddings, end to end"),
    "first-answer": Measurement(rows=first_answer, about="cold processes"),
    "agreement": Measurement(rows=agreement, about="the chosen precision beside float32"),
    "memory": Measurement(rows=memory, about="peak memory of few images and of many"),
}


def chosen(names: str) -> tuple[str, ...]:
    """Names with commas between, in the table's order; all for an empty text. ValueError for unknown ones, with the nearest."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        lookup(MEASUREMENTS, name, what="measurement")
    return tuple(name for name in MEASUREMENTS if not wanted or name in wanted)


def measure(names: Sequence[str], bench: Workbench, *, say: Callable[[str], None]) -> list[Row]:
    """The rows of all these, and a word before each begins. One that fails says so in a row of its own, and the others are
    still measured: what came before has taken minutes.
    """
    rows = list[Row]()
    for name in names:
        say(f"{name}: {MEASUREMENTS[name].about}")
        try:
            for row in MEASUREMENTS[name].rows(bench):
                rows.append(row)
        except Exception as error:  # of other packages, whose errors share no base
            said = " ".join(str(error).split())[:200] or type(error).__name__
            rows.append(Row(part=name, what=name, unit="failed", ours=(), note=f"{name} failed: {said}", failed=True))
    return rows
