"""Backbones that are no CLIP, by what a user types: `FILE.onnx`, or `FILE.py:function` for any PyTorch module.

The function takes nothing and gives a module, or a module with its `PreprocessConfig`. Beside `net.onnx`, the file
`net.preprocess.json` holds a PreprocessConfig's settings; of a file with several outputs, `net.onnx:features` names one. Where
nothing is said, pictures are prepared as ImageNet's models want them: the short side to 224 (or the side of the ONNX file's
input), the middle cut out, ImageNet's mean and deviation.
"""

import hashlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fullclip.core.config import from_dict, nearest, to_dict
from fullclip.core.extras import require
from fullclip.core.storage import sha256
from fullclip.evaluation.features.backbone import Backbone, FunctionBackbone
from fullclip.inference.fingerprint import fingerprint
from fullclip.preprocess.image import PreprocessConfig

IMAGENET = PreprocessConfig(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), interpolation="bilinear")
# What goes through a network at once. On a processor PyTorch gives larger blocks of memory back after each layer, and fetches
# them again, which takes longer than to compute with them: 4 pictures of side 224 are below that.
_LARGEST_BATCH, _PIXELS = 32, 4 * 224**2
_TYPES: Mapping[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}


def open_backbone(text: str, *, device: torch.device) -> Backbone:
    """The backbone that `text` names; ValueError with the two ways to name one."""
    path, colon, name = text.rpartition(":")
    if text.endswith(".onnx"):
        return _from_onnx(Path(text), None)
    if colon and path.endswith(".onnx"):
        return _from_onnx(Path(path), name)
    if colon and path.endswith(".py"):
        return _from_function(Path(path), name, device=device)
    raise ValueError(f"{text!r}: give an ONNX file, net.onnx, or a function that makes a PyTorch module, nets.py:resnet50")


def _from_function(path: Path, function: str, *, device: torch.device) -> Backbone:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    name = f"{path.stem}:{function}"
    made = _made(path, function)
    network, preprocess = made if isinstance(made, tuple) and len(made) == 2 else (made, IMAGENET)
    if not isinstance(network, nn.Module) or not isinstance(preprocess, PreprocessConfig):
        raise ValueError(f"{path}:{function} gives {made!r:.80}: a torch.nn.Module, or (module, PreprocessConfig)")
    network = network.eval().to(device)

    def forward(pixels: Tensor) -> Tensor:
        try:
            found: Tensor = network(pixels.to(device))
        except (RuntimeError, TypeError, ValueError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise ValueError(_cannot_take(name, pixels, error)) from error
        return found

    # neither weights nor settings say what forward() does with them; the file does, those that it imports, and compiled code
    sources = [f"{each.name} {sha256(each)}" for each in _imported_from(path.parent.resolve())]
    told = [fingerprint(network, preprocess), sha256(path), sources, [str(one.inlined_graph) for one in _scripts(network)]]
    mark = hashlib.sha256(json.dumps(told).encode()).hexdigest()
    batch_size = _LARGEST_BATCH if device.type == "cuda" else max(1, min(_LARGEST_BATCH, _PIXELS // preprocess.size**2))
    return FunctionBackbone(forward, name=name, fingerprint=mark, preprocess=preprocess, batch_size=batch_size, counts=True)


def _imported_from(folder: Path) -> list[Path]:
    """The files below a folder that modules have been imported from, installed packages left out."""
    named = (getattr(module, "__file__", None) for module in list(sys.modules.values()))  # built-in modules have no file
    files = {Path(name).resolve() for name in named if name}
    return sorted(
        file for file in files if file.is_relative_to(folder) and "site-packages" not in file.parts and file.is_file()
    )


def _scripts(network: nn.Module) -> Iterator[torch.jit.ScriptModule]:
    """The parts of a network that carry compiled code of their own."""
    if isinstance(network, torch.jit.ScriptModule):
        yield network
        return
    for child in network.children():
        yield from _scripts(child)


def _made(path: Path, function: str) -> Any:
    """What a function of a user's file gives. The file may import those beside it, as a script may."""
    spec = importlib.util.spec_from_file_location(f"fullclip_features_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        _users(lambda: spec.loader.exec_module(module), str(path))  # type: ignore[union-attr]
        functions = {name: value for name, value in vars(module).items() if callable(value)}
        if function not in functions:
            raise ValueError(f"{path} has no function {function!r}{nearest(function, functions)}")
        return _users(functions[function], f"{path}:{function}")
    finally:
        sys.path.remove(str(path.parent.resolve()))


def _users(code: Callable[[], Any], where: str) -> Any:
    """What a user's code gives; it may fail in any way."""
    try:
        return code()
    except Exception as error:
        raise ValueError(f"{where} fails with {type(error).__name__}: {_first_line(error)}") from error


def _from_onnx(path: Path, output: str | None) -> Backbone:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    onnxruntime = require("onnxruntime", extra="eval")
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base of their own
        raise ValueError(f"{path}: not an ONNX file that can be run ({_first_line(error)})") from None
    entry, chosen = _entry(path, session.get_inputs()), _output(path, session.get_outputs(), output)
    fixed = entry.shape[0] if isinstance(entry.shape[0], int) and entry.shape[0] > 0 else None
    preprocess = _preprocess_beside(path, entry.shape[2])
    forward = _runner(path.stem, lambda pixels: session.run([chosen], {entry.name: pixels})[0], _TYPES[entry.type], fixed)
    # weights beside the file, as of networks beyond two gigabytes, are named in it
    data, others = path.read_bytes(), (each for each in sorted(path.parent.iterdir()) if each.is_file() and each != path)
    beside = [f"{each.name} {sha256(each)}" for each in others if each.name.encode() in data]
    told = [sha256(path), beside, chosen, to_dict(preprocess)]
    mark = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return FunctionBackbone(forward, name=path.stem, fingerprint=mark, preprocess=preprocess, batch_size=fixed or 32)


def _entry(path: Path, inputs: list[Any]) -> Any:
    """The one input of pictures."""
    shapes = [f"{one.name} {list(one.shape)} {one.type}" for one in inputs]
    channels, *sides = inputs[0].shape[1:] if len(inputs) == 1 and len(inputs[0].shape) == 4 else [0]
    known = {side for side in sides if isinstance(side, int) and side > 0}
    if len(known) > 1 or (isinstance(channels, int) and channels != 3):
        raise ValueError(f"{path}: takes {', '.join(shapes)}; one input [batch, 3, size, size] is needed")
    if inputs[0].type not in _TYPES:
        raise ValueError(f"{path}: takes {', '.join(shapes)}; an input of float, float16 or double is needed")
    return inputs[0]


def _output(path: Path, outputs: list[Any], wanted: str | None) -> str:
    names = [str(one.name) for one in outputs]
    if wanted is not None and wanted not in names:
        raise ValueError(f"{path} has no output {wanted!r}{nearest(wanted, names)}")
    if wanted is None and len(names) > 1:
        raise ValueError(f"{path} has several outputs: {', '.join(names)}; name one, such as {path}:{names[0]}")
    return wanted or names[0]


def _runner(
    name: str, run: Callable[[np.ndarray], Any], kind: type[np.floating[Any]], fixed: int | None
) -> Callable[[Tensor], Tensor]:
    """Pixels through an ONNX session; a batch of a fixed size is filled up."""

    def forward(pixels: Tensor) -> Tensor:
        padding = 0 if fixed is None else fixed - len(pixels)
        padded = torch.cat([pixels, pixels.new_zeros(padding, *pixels.shape[1:])]) if padding > 0 else pixels
        try:
            found = np.asarray(run(padded.numpy().astype(kind, copy=False)), dtype=np.float32)
        except Exception as error:  # onnxruntime's errors share no base of their own
            raise ValueError(_cannot_take(name, padded, error)) from error
        return torch.from_numpy(found)[: len(pixels)] if len(found) == len(padded) else torch.from_numpy(found)

    return forward


def _cannot_take(name: str, pixels: Tensor, error: Exception) -> str:
    return f"{name} fails on pictures {list(pixels.shape)} with {type(error).__name__}: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:160]


def _preprocess_beside(path: Path, side: int | str | None) -> PreprocessConfig:
    said, fixed = path.with_suffix(".preprocess.json"), side if isinstance(side, int) and side > 0 else None
    if not said.is_file():
        return IMAGENET if fixed is None else replace(IMAGENET, size=fixed)
    try:
        found = from_dict(PreprocessConfig, json.loads(said.read_text(encoding="utf-8")))
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{said}: {error}") from None
    if fixed is not None and found.size != fixed:
        raise ValueError(f"{said}: size is {found.size}, but {path.name} takes pictures of {fixed} a side")
    return found
