"""How right the precision is that `fullclip.load` chooses: embeddings and answers beside those in float32."""

from collections.abc import Iterator

import numpy as np

from fullclip.bench.comparing import lowest_cosine
from fullclip.bench.rows import Bar, Row
from fullclip.bench.sentences import sample
from fullclip.bench.workbench import Workbench
from fullclip.core.types import Pair
from fullclip.inference import Encoder, load

COSINE, SAME = Bar(at_least=0.999), Bar(at_least=99.5)


def agreement(bench: Workbench) -> Iterator[Row]:
    """The sample's held-out pictures and texts. The best of all texts for each picture is compared where the model learned
    something: with random weights all are alike, and which is best says nothing.
    """
    subject = bench.subject
    pairs = sample("heldout")
    if not subject.is_trained:
        pairs = pairs[: bench.sizes.pairs]
    if subject.checkpoint is None or subject.encoder.tokenizer is None:
        note = f"{subject.name}: an exported model, or one without a tokenizer, is not computed again in float32"
        yield Row(part="agreement", what="agreement with float32", unit="cosine", ours=(), note=note)
        return
    default, full = both(subject.encoder, pairs), both(load(subject.path, precision="float32"), pairs)
    precisions = (subject.image_precision, subject.text_precision)
    for what, precision, own, exact in zip(("image", "text"), precisions, default, full, strict=True):
        lowest = (lowest_cosine(own, exact),)
        name = f"{what}s in {precision} or float32"
        yield Row(part="agreement", what=name, unit="lowest cosine", ours=lowest, better="neither", bar=COSINE)
    if subject.is_trained:
        answers = [(images @ texts.T).argmax(axis=1) for images, texts in (default, full)]
        same = 100 * float((answers[0] == answers[1]).mean())
        what = f"same best of {len(pairs)} texts"
        yield Row(part="agreement", what=what, unit="% of images", ours=(same,), better="neither", bar=SAME)


def both(encoder: Encoder, pairs: list[Pair]) -> tuple[np.ndarray, np.ndarray]:
    """The embeddings of the pictures and of their first texts."""
    images = encoder.encode_images([pair.image for pair in pairs])
    return images, encoder.encode_texts([pair.texts[0] for pair in pairs], truncate=True)
