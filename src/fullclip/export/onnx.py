"""A CLIP -> image.onnx, projection.onnx, text.onnx, of any batch size and text length, in float32."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from fullclip.core.extras import require
from fullclip.export.graphs import ImageGraph, ProjectionGraph, TextGraph, example
from fullclip.inference.exported import IMAGE, PROJECTION, TEXT
from fullclip.models.clip import Clip

_MOST_BYTES = 1_800_000_000  # of one file: protobuf ends at 2 GB; beyond, weights lie beside it
_AXES: dict[str, tuple[str, dict[int, str]]] = {
    IMAGE: ("pixels", {0: "batch"}),
    PROJECTION: ("features", {0: "batch"}),
    TEXT: ("tokens", {0: "batch", 1: "context"}),
}
_OUTPUTS = {IMAGE: ["image_embeds", "features"], PROJECTION: ["image_embeds"], TEXT: ["text_embeds"]}


def write_onnx(clip: Clip, folder: Path, *, size: int) -> None:
    """Write the three files. size: the side of the pictures that the model is given."""
    require("onnxscript", extra="export")
    graphs = {IMAGE: ImageGraph(clip), PROJECTION: ProjectionGraph(clip), TEXT: TextGraph(clip)}
    for name, graph in graphs.items():
        _write(graph.eval(), name, folder, clip=clip, size=size)


def _write(graph: nn.Module, name: str, folder: Path, *, clip: Clip, size: int) -> None:
    given, axes = _AXES[name]
    num_bytes = sum(weight.numel() * weight.element_size() for weight in graph.parameters())
    sizes = {"batch": torch.export.Dim("batch"), "context": torch.export.Dim("context", max=clip.text.context_length)}
    with torch.no_grad(), quietly():
        torch.onnx.export(
            graph,
            (example(graph, clip, size=size),),
            folder / f"{name}.onnx",
            input_names=[given],
            output_names=_OUTPUTS[name],
            dynamic_shapes=({axis: sizes[what] for axis, what in axes.items()},),
            dynamo=True,
            external_data=num_bytes > _MOST_BYTES,
            verbose=False,
        )


@contextmanager
def quietly() -> Iterator[None]:
    """Without what exporters say to their own developers; errors are raised as ever."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
