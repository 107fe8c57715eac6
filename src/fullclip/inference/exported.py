"""A folder that `fullclip export` wrote -> what an Encoder asks of a model, computed by ONNX Runtime or OpenVINO on the CPU.

export.json says what lies beside it, with each file's SHA-256: `image` (pixels -> embedding and the features before the
projection), `projection` (features -> embedding) and `text` (tokens -> embedding), tokenizer.json where the vocabulary is the
model's own or CLIP's. Knows nothing of how it was written.
"""

import hashlib
import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from fullclip.core.config import from_dict, to_dict
from fullclip.core.extras import require
from fullclip.core.processor import multiplies
from fullclip.core.storage import sha256
from fullclip.models.checkpoint import CheckpointError, Provenance
from fullclip.preprocess.image import PreprocessConfig

EXPORT_NAME, VERSION = "export.json", 1
IMAGE, PROJECTION, TEXT = "image", "projection", "text"
Format = Literal["onnx", "openvino"]
SUFFIXES: dict[str, str] = {"onnx": ".onnx", "openvino": ".xml"}

_TELEMETRY = "openvino_telemetry"
Run = Callable[[np.ndarray], list[np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class FileMark:
    """A file beside export.json, as it was written."""

    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ExportFile:
    """What export.json holds. halves: the towers that may be computed in bfloat16 (`inference.precision`)."""

    format: Format
    quantized: Literal["int8"] | None
    embed: int
    image_width: int
    context_length: int
    end_id: int
    scale: float
    halves: tuple[str, ...]
    tokenizer: bool
    preprocess: PreprocessConfig
    provenance: Provenance
    files: tuple[FileMark, ...]
    version: int = VERSION


class Exported:
    """Both towers of an exported model, with the names that `models.clip.Clip` has for an Encoder. Each is opened when it is
    first asked for. Embeddings come out with length 1.
    """

    training = False

    def __init__(self, told: ExportFile, open_tower: Callable[[str], Run]) -> None:
        self.told, self.embed, self.image_width, self.end_id = told, told.embed, told.image_width, told.end_id
        self.logit_scale = torch.tensor(math.log(told.scale))
        self._open, self._towers = open_tower, dict[str, Run]()

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of all that its embeddings depend on."""
        return hashlib.sha256(json.dumps(to_dict(self.told), sort_keys=True).encode()).hexdigest()

    def encode_image(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch embed"]:
        return self._run(IMAGE, images)[0]

    def image_features(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch dim"]:
        return self._run(IMAGE, images)[1]

    def project_image(self, features: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch embed"]:
        return self._run(PROJECTION, features)[0]

    def encode_text(self, tokens: Int[Tensor, "batch context"]) -> Float[Tensor, "batch embed"]:
        return self._run(TEXT, tokens)[0]

    def _run(self, tower: str, given: Tensor) -> list[Tensor]:
        if tower not in self._towers:
            self._towers[tower] = self._open(tower)
        return [torch.from_numpy(found) for found in self._towers[tower](given.numpy())]


def read_export(folder: Path) -> ExportFile:
    """export.json, and that all it names lies beside it unchanged. CheckpointError names what does not."""
    path = folder / EXPORT_NAME
    try:
        told = from_dict(ExportFile, json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{path}: not what `fullclip export` writes ({error}); export the model again") from None
    if told.version != VERSION:
        raise CheckpointError(f"{path} has version {told.version}: this fullclip reads {VERSION}; export the model again")
    for file in told.files:
        if not (folder / file.name).is_file():
            raise CheckpointError(f"{folder / file.name}: missing, though {EXPORT_NAME} names it; export the model again")
        found = sha256(folder / file.name)
        if found != file.sha256:
            raise CheckpointError(
                f"{folder / file.name}: its SHA-256 is {found}, {EXPORT_NAME} says {file.sha256}; export the model again"
            )
    return told


def open_towers(folder: Path, told: ExportFile, precision: str | None) -> Exported:
    """The model in a folder. ValueError for a precision that its engine or the processor does not have."""
    if told.format == "onnx":
        if precision not in (None, "float32"):
            raise ValueError(f"precision {precision!r}: ONNX Runtime computes {folder} as it was exported, in float32")
        return Exported(told, lambda tower: _onnx(folder / f"{tower}.onnx"))
    if precision == "float16":
        raise ValueError("precision 'float16': OpenVINO computes in float32 or bfloat16 on a CPU")
    halves = told.halves if precision is None and multiplies("bfloat16") else (IMAGE, TEXT) if precision == "bfloat16" else ()
    return Exported(told, lambda tower: _openvino(folder / f"{tower}.xml", "bf16" if tower in halves else "f32"))


def openvino() -> Any:
    """OpenVINO's package, without the one through which it tells its makers, over the network, of each import."""
    silenced: dict[str, Any] = {_TELEMETRY: None} if _TELEMETRY not in sys.modules else {}
    sys.modules.update(silenced)  # as if it were not installed
    try:
        return require("openvino", extra="export")
    finally:
        for name in silenced:
            del sys.modules[name]


@cache
def openvino_core() -> Any:
    """OpenVINO's runtime, one for the process, which is never let go of.

    Its plugin for CPUs gives the thread that loads it another stack for signals, and frees that stack with itself, on whatever
    thread that happens; the next signal would then end the process without a word.
    """
    return openvino().Core()


def _onnx(path: Path) -> Run:
    onnxruntime = require("onnxruntime", extra="export")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; its warnings are about graphs, which nobody here can mend
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda given: session.run(None, {name: given})


def _openvino(path: Path, precision: str) -> Run:
    settings: Mapping[str, str] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    model = openvino_core().compile_model(str(path), "CPU", settings)
    return lambda given: [np.array(found) for found in model(given).values()]
