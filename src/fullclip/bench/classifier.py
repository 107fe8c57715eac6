"""Seconds to the weights of an ImageNet-sized classifier, 1,000 classes in 80 sentences each, beside the loop of openai/CLIP's
notebook (Prompt_Engineering_for_ImageNet.ipynb) with another's text tower. Both do some of the classes; the time is scaled.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from fullclip.bench.comparing import Rival, compared, lowest_cosine
from fullclip.bench.peers import Peer
from fullclip.bench.rows import Bar, Row
from fullclip.bench.sentences import eighty, padded, some_classes
from fullclip.bench.timing import Side
from fullclip.bench.workbench import Workbench
from fullclip.preprocess.tokenizer import Tokenizer
from fullclip.zeroshot.classifier import class_weights
from fullclip.zeroshot.prompts import fill

ALL = 1000
BESIDE_THE_LOOP = Bar(ratio=8.0)


def classifier(bench: Workbench) -> Iterator[Row]:
    """One round: it takes long, and what it is made of has been measured in several. The first other that is here."""
    encoder, sizes = bench.subject.encoder, bench.sizes
    own, few = some_classes(sizes.classifier_classes), some_classes(sizes.their_classes)
    like = Row(
        part="classifier",
        what=f"classifier of {ALL:,} x 80",
        unit="s",
        ours=(),
        better="less",
        bar=bench.asked(BESIDE_THE_LOOP),
    )
    if encoder.tokenizer is None:
        yield Row(part="classifier", what=like.what, unit="s", ours=(), note=f"{bench.subject.name} has no tokenizer")
        return
    ours = partial(_ours, bench)
    rivals = [
        Rival(
            name=peer.name,
            side=Side(call=partial(notebook, peer, encoder.tokenizer, few, encoder.device), count=len(few)),
            cosine=lowest_cosine(ours(few[:1]), notebook(peer, encoder.tokenizer, few[:1], encoder.device)),
        )
        for peer in bench.peers[:1]
    ]
    absent = () if rivals else bench.absent
    for row in compared(like, Side(call=partial(ours, own), count=len(own)), rivals, absent, rounds=1):
        yield _for_all(row, measured=len(own), theirs=len(few))


def _for_all(row: Row, *, measured: int, theirs: int) -> Row:
    """A row of the seconds for a class as one of the seconds for all."""
    scaled = "" if measured == ALL else f"measured on {measured} classes, "
    note = row.note or f"{scaled}{row.beside} on {theirs}: scaled to {ALL:,}"
    ours, beside = (tuple(ALL * value for value in side) for side in (row.ours, row.theirs))
    return replace(row, ours=ours, theirs=beside, note=note)


def _ours(bench: Workbench, names: Sequence[str]) -> np.ndarray:
    return class_weights(bench.subject.encoder, [(name,) for name in names], eighty())


def notebook(peer: Peer, tokenizer: Tokenizer, names: Sequence[str], device: torch.device) -> np.ndarray:
    """The notebook's loop: a class's sentences padded to the context, encoded, normalised, their mean normalised again. Our
    tokenizer, which is faster than the notebook's.
    """
    rows = [peer.encode_texts(padded(tokenizer, fill(name, eighty()), device)).mean(dim=0) for name in names]
    return F.normalize(torch.stack(rows), dim=-1).numpy()
