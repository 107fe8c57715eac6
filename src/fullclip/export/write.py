"""An Encoder -> a folder for ONNX Runtime or OpenVINO, checked against it, which `inference.load` opens."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch

from fullclip.core.config import to_dict
from fullclip.core.storage import atomic_folder, sha256
from fullclip.export.agreement import Agreement, agreement
from fullclip.export.onnx import write_onnx
from fullclip.export.openvino import to_openvino
from fullclip.export.quantize import quantize as to_int8
from fullclip.inference import Encoder, load
from fullclip.inference.exported import EXPORT_NAME, IMAGE, TEXT, ExportFile, FileMark, Format
from fullclip.models.clip import Clip
from fullclip.models.features import Precomputed
from fullclip.models.vit import VisionTransformer
from fullclip.models.weights import TOKENIZER_NAME

LOWEST_COSINE = 0.9999  # of an export that is not quantised, computed in float32


def export_model(
    encoder: Encoder,
    folder: str | Path,
    *,
    form: Format = "onnx",
    quantize: Literal["int8"] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Agreement | None:
    """Write the folder, which appears when all of it is there and checked; how well it agrees with the encoder on the sample,
    or None for a model without a vocabulary, which is not checked.

    encoder: in float32, on the CPU. say: is told of each step. ValueError for an encoder that cannot be exported, or a folder
    that is there already; RuntimeError where an export in float32 does not give the encoder's embeddings.
    """
    folder, clip = Path(folder), encoder.clip
    if folder.exists():
        raise ValueError(f"{folder} is there already; give another folder")
    if isinstance(clip.visual, Precomputed):
        raise ValueError("this model looks at features, not at pictures: there is no image tower to export")
    if {weight.dtype for weight in clip.parameters()} != {torch.float32} or encoder.device.type != "cpu":
        raise ValueError('what is exported is in float32 on the CPU: load the model with precision="float32", device="cpu"')
    with atomic_folder(folder) as made:
        _write(clip, made, encoder.preprocess.size, form, say)
        if quantize:
            say("to int8")
            to_int8(made, form)
        if encoder.tokenizer is not None:
            encoder.tokenizer.save(made / TOKENIZER_NAME)
        (made / EXPORT_NAME).write_text(json.dumps(to_dict(_told(encoder, made, form, quantize)), indent=2), encoding="utf-8")
        if encoder.tokenizer is None:
            return None
        say("comparing with the model on the sample")
        found = agreement(encoder, load(made, precision="float32", device="cpu"))
        if not quantize and min(found.image_cosine, found.text_cosine) < LOWEST_COSINE:
            raise RuntimeError(
                f"the export does not compute what the model does: cosine {found.image_cosine:.6f} of images, "
                f"{found.text_cosine:.6f} of texts; nothing was kept"
            )
        return found


def _write(clip: Clip, folder: Path, size: int, form: Format, say: Callable[[str], None]) -> None:
    say("to ONNX")
    if form == "onnx":
        write_onnx(clip, folder, size=size)
        return
    with TemporaryDirectory(dir=folder.parent) as between:
        write_onnx(clip, Path(between), size=size)
        say("to OpenVINO")
        to_openvino(Path(between), folder)


def _told(encoder: Encoder, folder: Path, form: Format, quantized: Literal["int8"] | None) -> ExportFile:
    clip = encoder.clip
    return ExportFile(
        format=form,
        quantized=quantized,
        embed=encoder.embed,
        image_width=clip.image_width,
        context_length=clip.text.context_length,
        end_id=clip.end_id,
        scale=encoder.scale,
        halves=(IMAGE, TEXT) if isinstance(clip.visual, VisionTransformer) else (TEXT,),
        tokenizer=encoder.tokenizer is not None,
        preprocess=encoder.preprocess,
        provenance=encoder.provenance,
        files=tuple(FileMark(name=path.name, sha256=sha256(path)) for path in sorted(folder.iterdir())),
    )
