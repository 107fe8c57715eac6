"""Backbones that are no CLIP, by what a user types: `FILE.onnx`, or `FILE.py:function` for any PyTorch module.

The function takes nothing and gives a module, or a module with its `PreprocessConfig`. Beside `net.onnx`, the file
`net.preprocess.json` holds a PreprocessConfig's settings. Where nothing is said, pictures are prepared as ImageNet's models
want them: the short side to 224 (or the side of the ONNX file's input), the middle cut out, ImageNet's mean and deviation.
"""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fullclip.core.config import from_dict
from fullclip.core.extras import require
from fullclip.core.storage import sha256
from fullclip.evaluation.features.backbone import Backbone, FunctionBackbone, fingerprint
from fullclip.preprocess.image import PreprocessConfig

IMAGENET = PreprocessConfig(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), interpolation="bilinear")


def open_backbone(text: str, *, device: torch.device) -> Backbone:
    """The backbone that `text` names; ValueError with the two ways to name one."""
    path, colon, function = text.rpartition(":")
    if text.endswith(".onnx"):
        return _from_onnx(Path(text))
    if colon and path.endswith(".py"):
        return _from_function(Path(path), function, device=device)
    raise ValueError(f"{text!r}: give an ONNX file, net.onnx, or a function that makes a PyTorch module, nets.py:resnet50")


def _from_function(path: Path, function: str, *, device: torch.device) -> Backbone:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not callable(getattr(module, function, None)):
        raise ValueError(f"{path} has no function {function!r}")
    made = getattr(module, function)()
    network, preprocess = made if isinstance(made, tuple) and len(made) == 2 else (made, IMAGENET)
    if not isinstance(network, nn.Module) or not isinstance(preprocess, PreprocessConfig):
        raise ValueError(f"{path}:{function} gives {made!r:.80}: a torch.nn.Module, or (module, PreprocessConfig)")
    network = network.eval().to(device)
    # the weights say nothing of what forward() does with them; the file does
    mark = fingerprint(network.state_dict(), preprocess) + sha256(path)
    return FunctionBackbone(
        lambda pixels: network(pixels.to(device)), name=f"{path.stem}:{function}", fingerprint=mark, preprocess=preprocess
    )


def _from_onnx(path: Path) -> Backbone:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    onnxruntime = require("onnxruntime", extra="eval")
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base of their own
        raise ValueError(f"{path}: not an ONNX file that can be run ({str(error).splitlines()[0][:160]})") from None
    (entry, *others), fixed = session.get_inputs(), None
    if others or len(entry.shape) != 4:
        raise ValueError(f"{path}: takes {[i.name for i in session.get_inputs()]}; one input [batch, 3, size, size] is needed")
    if isinstance(entry.shape[0], int) and entry.shape[0] > 0:
        fixed = entry.shape[0]
    preprocess = _preprocess_beside(path, entry.shape[2])

    def forward(pixels: Tensor) -> Tensor:
        padding = 0 if fixed is None else fixed - len(pixels)
        padded = torch.cat([pixels, pixels.new_zeros(padding, *pixels.shape[1:])]) if padding else pixels
        found: Any = session.run(None, {entry.name: padded.numpy()})[0]
        return torch.from_numpy(np.asarray(found, dtype=np.float32))[: len(pixels)]

    mark = sha256(path) + json.dumps(
        [preprocess.size, preprocess.mean, preprocess.std, preprocess.interpolation, preprocess.resize]
    )
    return FunctionBackbone(forward, name=path.stem, fingerprint=mark, preprocess=preprocess, batch_size=fixed or 32)


def _preprocess_beside(path: Path, side: int | str | None) -> PreprocessConfig:
    said = path.with_suffix(".preprocess.json")
    if said.is_file():
        try:
            return from_dict(PreprocessConfig, json.loads(said.read_text(encoding="utf-8")))
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{said}: {error}") from None
    return replace(IMAGENET, size=side) if isinstance(side, int) and side > 0 else IMAGENET
