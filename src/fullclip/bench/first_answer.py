"""Seconds to an answer of cold processes: `fullclip --help` beside `python -c pass`; `fullclip classify` with the bundled model
beside a script on transformers, whose model has as many weights and is random.
"""

import sys
from collections.abc import Iterator
from functools import partial
from importlib.resources import files
from pathlib import Path

from fullclip.bench.comparing import Rival, compared
from fullclip.bench.peers import Absent, AbsentError, module
from fullclip.bench.rows import Bar, Row
from fullclip.bench.subject import random_checkpoint
from fullclip.bench.timing import Side, process
from fullclip.bench.workbench import Workbench
from fullclip.models.config import ClipConfig, TextConfig, VitConfig
from fullclip.models.writing import write_checkpoint
from fullclip.preprocess.tokenizer import Tokenizer

LABELS = ("cat", "dog", "car")
HELP, ANSWER = Bar(at_most=0.3), Bar(at_most=3.0, ratio=2.0)
SCRIPT = f"""
from PIL import Image
from transformers import CLIPModel, CLIPProcessor
import sys, torch
model, processor = CLIPModel.from_pretrained(sys.argv[1]).eval(), CLIPProcessor.from_pretrained(sys.argv[1])
texts = [f"a photo of a {{label}}." for label in {LABELS!r}]
given = processor(text=texts, images=Image.open(sys.argv[2]), return_tensors="pt", padding=True)
with torch.no_grad():
    print(model(**given).logits_per_image.softmax(dim=1))
"""
OF_THE_PEER = ClipConfig(
    embed=256,
    vision=VitConfig(image_size=160, patch_size=16, width=192, layers=11, heads=3, mlp_width=768),
    text=TextConfig(width=112, layers=3, heads=2, mlp_width=448),
)


def first_answer(bench: Workbench) -> Iterator[Row]:
    """Each process is started anew in each round; the first starts, which read the files from the disk, are not counted."""
    bare = Side(call=partial(process, sys.executable, "-c", "pass"))
    like = Row(part="first-answer", what="fullclip --help", unit="s", ours=(), better="less", bar=HELP)
    yield from _in_turn(bench, like, ("--help",), [Rival(name="python -c pass", side=bare)], [])
    rivals, absent = list[Rival](), list[Absent]()
    try:
        module("transformers")
        script = (sys.executable, "-c", SCRIPT, str(_their_model(bench.folder / "as-many-weights")), _picture())
        rivals.append(Rival(name="transformers", side=Side(call=partial(process, *script))))
    except AbsentError as error:
        absent.append(Absent(name="transformers", why=str(error)))
    like = Row(part="first-answer", what="fullclip classify", unit="s", ours=(), better="less", bar=ANSWER)
    yield from _in_turn(bench, like, ("classify", _picture(), "--labels", ",".join(LABELS)), rivals, absent)


def _in_turn(bench: Workbench, like: Row, words: tuple[str, ...], rivals: list[Rival], absent: list[Absent]) -> Iterator[Row]:
    own = Side(call=partial(process, sys.executable, "-m", "fullclip", *words))
    own.call()
    for rival in [*rivals]:
        try:
            rival.side.call()
        except ValueError as error:
            rivals.remove(rival)
            absent.append(Absent(name=rival.name, why=str(error)))
    yield from compared(like, own, rivals, absent, rounds=bench.rounds)


def _picture() -> str:
    return str(files("fullclip").joinpath("assets/photographs/cat.jpg"))


def _their_model(folder: Path) -> Path:
    write_checkpoint(random_checkpoint(OF_THE_PEER), folder, tokenizer=Tokenizer.clip(), form="hf")
    return folder
