"""Any checkpoint in, in our terms out: which reader fits a path; and a module from it.

Formats: our folder (fullclip.json), an OpenCLIP folder or file, a Hugging Face CLIPModel folder, openai/CLIP's .pt
archive or its state dict. Reading never runs code that lies in a file.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from fullclip.core.config import from_dict, nearest
from fullclip.models import hugging_face, openai, openclip
from fullclip.models.checkpoint import Checkpoint, CheckpointError, Provenance
from fullclip.models.clip import Clip, build
from fullclip.models.config import Activation, ClipConfig
from fullclip.models.keymaps import from_hugging_face, from_openai
from fullclip.models.pickles import read_pickled
from fullclip.preprocess.image import PreprocessConfig

CONFIG_NAME, WEIGHTS_NAME, TOKENIZER_NAME = "fullclip.json", "model.safetensors", "tokenizer.json"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """What fullclip.json holds. `tokenizer` names the file beside it, or is None for a model of CLIP's own vocabulary."""

    model: ClipConfig
    preprocess: PreprocessConfig
    provenance: Provenance
    tokenizer: str | None
    version: int = VERSION


_Reader = Callable[[Path, dict[str, Any], Path | None], Checkpoint]


def read_checkpoint(path: str | Path, *, activation: Activation | None = None) -> Checkpoint:
    """Read a model folder or a weight file, whatever its format.

    `activation` is for files that do not say which one they were trained with: an OpenCLIP weight file or training
    checkpoint without its config; it is refused where the config says another. CheckpointError names the file and what is
    wrong with it.
    """
    path = Path(path)
    if not path.exists():
        raise CheckpointError(f"{path}: no such file or folder; `fullclip models list` shows what can be loaded by name")
    try:
        checkpoint = _read(path, activation)
        found = checkpoint.config.text.activation
        if activation not in (None, found):
            raise CheckpointError(f"its config says {found}, not {activation}; leave the activation out")
    except CheckpointError as error:
        raise CheckpointError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    if not checkpoint.provenance.source:
        checkpoint = replace(checkpoint, provenance=replace(checkpoint.provenance, source=str(path)))
    return checkpoint


def _read(path: Path, activation: Activation | None) -> Checkpoint:
    """By the config that lies in the folder, or beside the file; a file alone by its shapes."""
    folder, weights = (path, None) if path.is_dir() else (path.parent, path)
    for name, (read, weight_names) in _READERS.items():
        meant = weights is None or not weight_names or weights.name in weight_names
        if meant and (folder / name).is_file():
            settings = _read_json(folder / name)
            try:
                return read(folder, settings, weights)
            except CheckpointError:
                raise
            except (ValueError, TypeError, AttributeError, ArithmeticError, LookupError) as error:
                raise CheckpointError(f"{folder / name}: no config that makes sense ({error})") from None
    if weights is None:
        raise CheckpointError(f"none of {', '.join(_READERS)} is in this folder; give a model's folder or weight file")
    return _read_bare_file(weights, activation)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: not JSON ({error})") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: expected an object, got a {type(found).__name__}")
    return found


def read_model_file(folder: Path) -> ModelFile:
    """What is told of a model in our form, without its weights. CheckpointError as from `read_checkpoint`."""
    return _model_file(folder, _read_json(folder / CONFIG_NAME))


def _model_file(folder: Path, settings: dict[str, Any]) -> ModelFile:
    content = from_dict(ModelFile, settings)
    if content.version != VERSION:
        raise CheckpointError(f"{folder / CONFIG_NAME} has version {content.version}: this fullclip reads {VERSION}")
    return content


def _read_ours(folder: Path, settings: dict[str, Any], weights: Path | None) -> Checkpoint:
    content = _model_file(folder, settings)
    return Checkpoint(
        config=content.model,
        state=_read_tensors(weights or folder / WEIGHTS_NAME),
        preprocess=content.preprocess,
        provenance=content.provenance,
    )


def _read_openclip(folder: Path, settings: dict[str, Any], weights: Path | None) -> Checkpoint:
    config = openclip.config_from_openclip(settings.get("model_cfg") or {})
    preprocess = openclip.preprocess_from_openclip(settings.get("preprocess_cfg") or {}, config.vision.image_size)
    state = from_openai(_read_tensors(weights or _first(folder, openclip.WEIGHT_NAMES)))
    return Checkpoint(config=config, state=state, preprocess=preprocess)


def _read_hugging_face(folder: Path, settings: dict[str, Any], weights: Path | None) -> Checkpoint:
    config = hugging_face.config_from_hugging_face(settings)
    candidates = [folder / hugging_face.PREPROCESSOR_NAME, folder / hugging_face.PROCESSOR_NAME]
    found = next((path for path in candidates if path.is_file()), None)
    note = "" if found else f"no {hugging_face.PREPROCESSOR_NAME}: CLIPImageProcessor's defaults are used"
    preprocess = hugging_face.preprocess_from_hugging_face(
        _read_json(found) if found else {}, image_size=config.vision.image_size
    )
    state = _read_tensors(weights or _first(folder, hugging_face.WEIGHT_NAMES))
    state = from_hugging_face(state, hugging_face.layers_of(config))
    return Checkpoint(config=config, state=state, preprocess=preprocess, provenance=Provenance(note=note))


# Config file -> its reader, and the names of weight files that it speaks of (for OpenCLIP any: its training checkpoints).
_READERS: dict[str, tuple[_Reader, tuple[str, ...]]] = {
    CONFIG_NAME: (_read_ours, (WEIGHTS_NAME,)),
    openclip.CONFIG_NAME: (_read_openclip, ()),
    hugging_face.CONFIG_NAME: (_read_hugging_face, hugging_face.WEIGHT_NAMES),
}


def _read_bare_file(path: Path, activation: Activation | None) -> Checkpoint:
    """A weight file without a config beside it. A flat .pt with openai/CLIP's names is openai/CLIP's, and so QuickGELU;
    of any other, only the caller can know the activation. The heads are 64 wide, as openai/CLIP's are.
    """
    tensors, is_training = read_pickled(path) if path.suffix != ".safetensors" else (_read_tensors(path), False)
    is_openai = path.suffix == ".pt" and not is_training and not any(key.startswith("text.") for key in tensors)
    if activation is None and not is_openai:
        raise CheckpointError(
            f"{path}: these weights do not say whether they were trained with GELU or QuickGELU; put OpenCLIP's"
            f" {openclip.CONFIG_NAME} beside them, or say which: fullclip models convert {path} --out FOLDER --activation"
            " gelu (OpenCLIP's default) or quick_gelu"
        )
    state = from_openai(tensors)
    config = openai.config_of(state, activation=activation or "quick_gelu")
    return Checkpoint(config=config, state=state, preprocess=PreprocessConfig(size=config.vision.image_size))


def _first(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise CheckpointError(f"{folder}: the weights are missing: none of {', '.join(names)}")


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if path.suffix != ".safetensors":
        return read_pickled(path)[0]
    try:
        return load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: the weights are missing") from None
    except SafetensorError as error:
        raise CheckpointError(f"{path}: cannot be read ({error})") from None


def to_module(checkpoint: Checkpoint, *, source: str | Path = "", dtype: torch.dtype = torch.float32) -> Clip:
    """The model with these weights, for evaluation. CheckpointError lists weights that are missing, left over or of
    another shape than the config says; it begins with `source`, the path that was asked for.
    """
    source = source or checkpoint.provenance.source
    try:
        with torch.device("meta"):
            model = build(checkpoint.config)
    except (ValueError, TypeError, ArithmeticError, RuntimeError) as error:
        raise CheckpointError(f"{source}: no model can be built from its config ({error})") from None
    wanted, given = model.state_dict(), dict(checkpoint.state)
    for name, tensor in wanted.items():
        if name.endswith("num_batches_tracked") and name not in given:
            given[name] = torch.zeros((), dtype=tensor.dtype)  # a counter that older files leave out; nothing reads it
    problems = [f"{name} is missing" for name in wanted if name not in given]
    problems += [f"{name} is left over{nearest(name, wanted)}" for name in given if name not in wanted]
    problems += [
        f"{name} is {list(given[name].shape)}, the config says {list(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in given and given[name].shape != tensor.shape
    ]
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise CheckpointError(f"{source}: {'; '.join(problems[:3])}{more}")
    cast = {name: given[name].to(dtype if given[name].is_floating_point() else given[name].dtype) for name in wanted}
    model.load_state_dict(cast, assign=True)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model.eval()
