"""The same model through ONNX Runtime and OpenVINO, as `fullclip export` writes it: images a second, on the CPU."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Literal

from fullclip.bench.comparing import lowest_cosine
from fullclip.bench.peers import AbsentError
from fullclip.bench.rows import Row
from fullclip.bench.subject import embeddings, precision_of
from fullclip.bench.timing import Side, rates
from fullclip.bench.workbench import Workbench
from fullclip.export.write import export_model
from fullclip.inference import Encoder, load
from fullclip.inference.exported import Format


@dataclass(frozen=True, kw_only=True)
class Way:
    """A form of an exported model, and the modules that writing and running it need."""

    name: str
    form: Format
    quantize: Literal["int8"] | None
    needs: tuple[str, ...]


WAYS: dict[str, Way] = {
    "onnx": Way(name="ONNX Runtime float32", form="onnx", quantize=None, needs=("onnx", "onnxscript", "onnxruntime")),
    "onnx-int8": Way(name="ONNX Runtime int8", form="onnx", quantize="int8", needs=("onnx", "onnxscript", "onnxruntime")),
    "openvino": Way(name="OpenVINO as loaded", form="openvino", quantize=None, needs=("onnx", "onnxscript", "openvino")),
    "openvino-int8": Way(name="OpenVINO int8", form="openvino", quantize="int8", needs=("onnx", "onnxscript", "openvino")),
}


def exported(bench: Workbench) -> Iterator[Row]:
    """Each of `sizes.ways` whose runtime is here: ours is the exported model, `beside` is PyTorch in the precision
    that `fullclip.load` chooses. How near the embeddings are is said and decides nothing: int8 is further away by its nature.
    """
    subject, batch = bench.subject, bench.sizes.batch
    like = Row(part="exported", what="exported", unit="images/s", ours=())
    if subject.checkpoint is None:
        yield replace(like, note=f"{subject.name} is exported already: give the model that it was exported from")
        return
    encoder, pixels = load(subject.path, device="cpu"), bench.pixels(batch).cpu()
    beside = Side(call=partial(embeddings, encoder.clip.encode_image, pixels), count=batch)
    reference = embeddings(encoder.clip.encode_image, pixels).numpy()
    for way in bench.sizes.ways:
        row = replace(like, what=WAYS[way].name, beside=f"PyTorch {precision_of(encoder.clip.visual)}")
        try:
            own = _opened(bench, WAYS[way])
        except AbsentError as error:
            yield replace(row, note=str(error))
            continue
        call = partial(embeddings, own.model.encode_image, pixels)
        cosine = lowest_cosine(call().numpy(), reference)
        found, theirs = rates([Side(call=call, count=batch), beside], rounds=bench.rounds, seconds=bench.sizes.seconds)
        yield replace(row, ours=found, theirs=theirs, note=f"lowest cosine with PyTorch {cosine:.4f}")


def _opened(bench: Workbench, way: Way) -> Encoder:
    """The model, exported and opened again. Without its vocabulary, which only comparing it on the sample needs, and images are
    compared here.
    """
    for name in way.needs:
        if find_spec(name) is None:
            raise AbsentError(f"{name} is not installed: pip install 'fullclip[export]'")
    given = load(bench.subject.path, precision="float32", device="cpu")
    folder = bench.folder / f"exported-{way.form}-{way.quantize}"
    export_model(Encoder(given.clip, preprocess=given.preprocess, tokenizer=None), folder, form=way.form, quantize=way.quantize)
    return load(folder, device="cpu")
