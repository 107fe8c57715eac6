"""Texts a second: a zero-shot classifier's sentences through the text tower, beside others that pad to the whole context, and
the tokenizer alone.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fullclip.bench.comparing import Rival, compared, lowest_cosine
from fullclip.bench.peers import Absent, AbsentError, Peer, quiet_transformers
from fullclip.bench.rows import Bar, Row
from fullclip.bench.sentences import padded, prompts, sample, spread
from fullclip.bench.timing import Side
from fullclip.bench.workbench import Workbench
from fullclip.models.hugging_face import write_tokenizer
from fullclip.preprocess.tokenizer import Tokenizer

BESIDE_TRANSFORMERS = Bar(ratio=8.0)
_AT_ONCE = 32


def texts(bench: Workbench) -> Iterator[Row]:
    """80 sentences for each of some classes through `Encoder.encode_texts`; others get a part of them, in batches of 32."""
    subject, sizes = bench.subject, bench.sizes
    tokenizer = subject.encoder.tokenizer
    if tokenizer is None:
        yield Row(part="texts", what="prompts", unit="texts/s", ours=(), note=f"{subject.name} has no tokenizer")
        return
    sentences = prompts(sizes.classes)
    part = spread(sentences, sizes.their_prompts)
    tokens, ours = padded(tokenizer, part, subject.encoder.device), subject.encoder.encode_texts(part, truncate=True)
    rivals = [
        Rival(
            name=peer.name,
            side=Side(call=partial(in_batches, peer, tokens), count=len(part)),
            cosine=lowest_cosine(ours, in_batches(peer, tokens).numpy()),
            bar=bench.asked(BESIDE_TRANSFORMERS) if peer.name == "transformers" else None,
        )
        for peer in bench.peers
    ]
    like = Row(part="texts", what=f"80 x {sizes.classes} prompts", unit="texts/s", ours=())
    own = Side(call=partial(subject.encoder.encode_texts, sentences, truncate=True), count=len(sentences))
    yield from compared(like, own, rivals, bench.absent, rounds=bench.rounds)


def in_batches(peer: Peer, tokens: Tensor) -> Tensor:
    """A peer's embeddings of many texts."""
    return torch.cat([peer.encode_texts(part) for part in torch.split(tokens, _AT_ONCE)])


def tokenizer(bench: Workbench) -> Iterator[Row]:
    """The sample's captions to CLIP's tokens, padded, after a first pass: both remember words that they have seen."""
    captions = [text for pair in sample("train") for text in pair.texts]
    ours = Tokenizer.clip()
    tokens = ours.encode(captions, truncate=True).ids
    count = int((tokens != 0).sum())
    rivals, absent = list[Rival](), list[Absent]()
    try:
        other = _their_tokenizer(bench)
        theirs = other(captions)
        if not torch.equal(theirs.where(theirs != ours.end_id, 0), tokens.where(tokens != ours.end_id, 0)):
            raise AbsentError("transformers gives other tokens: not compared")
        rivals.append(Rival(name="transformers", side=Side(call=partial(other, captions), count=count)))
    except AbsentError as error:
        absent.append(Absent(name="transformers", why=str(error)))
    like = Row(part="tokenizer", what="captions", unit="tokens/s", ours=())
    own = Side(call=partial(ours.encode, captions, truncate=True), count=count)
    yield from compared(like, own, rivals, absent, rounds=bench.rounds, seconds=bench.sizes.seconds)


def _their_tokenizer(bench: Workbench) -> Any:
    transformers, folder = quiet_transformers(), bench.folder / "tokenizer"
    folder.mkdir(exist_ok=True)
    write_tokenizer(Tokenizer.clip(), folder)
    fast = transformers.CLIPTokenizerFast.from_pretrained(folder)
    given = {"padding": "max_length", "truncation": True, "max_length": 77, "return_tensors": "pt"}
    return lambda captions: fast(captions, **given).input_ids
