"""How right the precision is that `fullclip.load` chooses: embeddings and answers beside those in float32."""

from collections.abc import Iterator

from fullclip.bench.rows import Bar, Row
from fullclip.bench.workbench import Workbench
from fullclip.export.agreement import agreement as compare
from fullclip.inference import load

COSINE, SAME = Bar(at_least=0.999), Bar(at_least=99.5)


def agreement(bench: Workbench) -> Iterator[Row]:
    """The sample's held-out pictures and texts. The best of all texts for each picture is compared where the model learned
    something: with random weights all are alike, and which is best says nothing.
    """
    subject = bench.subject
    if subject.checkpoint is None or subject.encoder.tokenizer is None:
        note = f"{subject.name}: an exported model, or one without a tokenizer, is not computed again in float32"
        yield Row(part="agreement", what="agreement with float32", unit="cosine", ours=(), note=note)
        return
    exact = load(subject.path, precision="float32")
    found = compare(exact, subject.encoder, at_most=None if subject.is_trained else bench.sizes.pairs)
    for what, precision, cosine in (
        ("images", subject.image_precision, found.image_cosine),
        ("texts", subject.text_precision, found.text_cosine),
    ):
        name = f"{what}, {precision} beside float32"
        yield Row(part="agreement", what=name, unit="lowest cosine", ours=(cosine,), better="neither", bar=COSINE)
    if subject.is_trained:
        what = f"same best of {found.num_pairs} texts"
        yield Row(part="agreement", what=what, unit="% of images", ours=(100 * found.top1,), better="neither", bar=SAME)
