"""Weights out of pickled files without running what is in them.

`read_pickled` takes a `.pt`/`.bin` that torch.save wrote, or a TorchScript archive such as openai/CLIP's: a zip whose
pickle is read here with a list of allowed names; its code is never looked at.
"""

import math
import pickle
import pickletools
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fullclip.models.checkpoint import CheckpointError

_SMALL_MEMO = 1 << 16
_MAX_PICKLE_BYTES = 64 << 20  # the structure only; tensors lie beside it
_STORAGES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def read_pickled(path: Path) -> tuple[dict[str, Tensor], bool]:
    """(tensors by dotted name, whether the file is a training checkpoint with the weights under "state_dict").

    CheckpointError where the file is torn, or asks for anything but tensors.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                folder = _torchscript_folder(archive)
                if folder is not None:
                    return _read_torchscript(archive, folder), False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except pickle.UnpicklingError as error:
        # torch's own text goes on to say how to run the file.
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f"its pickle holds more than tensors: it asks for {asked[1]}" if asked else "it is no file of weights"
        raise CheckpointError(f"{path}: refused, {reason}") from None
    except Exception as error:  # a torn or hostile file can raise nearly anything while it is parsed
        raise CheckpointError(f"{path}: cannot be read ({type(error).__name__}: {_first_line(error)})") from None
    return _state_of(found, path)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200]


def _state_of(found: object, path: Path) -> tuple[dict[str, Tensor], bool]:
    nested = isinstance(found, dict) and isinstance(found.get("state_dict"), dict)
    state = found["state_dict"] if isinstance(found, dict) and nested else found
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path}: holds no weights: expected a state dict, alone or under 'state_dict'")
    return dict(state), nested


def _torchscript_folder(archive: zipfile.ZipFile) -> str | None:
    """The folder inside a TorchScript archive, which has code and constants beside its data; None for other zips."""
    for name in archive.namelist():
        folder, _, last = name.rpartition("/")
        if last == "constants.pkl" and f"{folder}/data.pkl" in archive.namelist():
            return folder
    return None


class _Node:
    """Stands for any module of the archive: keeps the attributes that the pickle gives it, and nothing else."""

    def __init__(self, *_: object) -> None:
        self.attributes: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise CheckpointError("refused: a module whose attributes are no dictionary")
        self.attributes = state


def _read_torchscript(archive: zipfile.ZipFile, folder: str) -> dict[str, Tensor]:
    member = archive.getinfo(f"{folder}/data.pkl")
    if member.file_size > _MAX_PICKLE_BYTES:
        raise CheckpointError(f"refused: a pickle of {member.file_size:,} bytes")
    content = archive.read(member)
    _check_memo(content)
    root = _AllowedUnpickler(BytesIO(content), archive, folder).load()
    if not isinstance(root, _Node):
        raise CheckpointError("a TorchScript archive without a module in it")
    state = dict(_tensors(root, "", set()))
    if not state:
        raise CheckpointError("a TorchScript archive without weights")
    return state


def _tensors(node: _Node, prefix: str, seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    if id(node) in seen:  # a module that holds itself would never end
        return
    seen.add(id(node))
    for name, value in node.attributes.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, _Node):
            yield from _tensors(value, f"{prefix}{name}.", seen)


def _check_memo(content: bytes) -> None:
    """A pickle of ten bytes can ask for a memo of gigabytes, which the unpickler would make; an honest one counts up."""
    for opcode, argument, _ in pickletools.genops(content):
        if "PUT" in opcode.name and isinstance(argument, int) and argument > max(len(content), _SMALL_MEMO):
            raise CheckpointError(f"refused: its pickle numbers an object {argument:,}, and has {len(content):,} bytes")


class _AllowedUnpickler(pickle.Unpickler):
    """Knows tensors, storages, ordered dicts and lists of numbers; every other name is refused before it is looked up."""

    def __init__(self, file: BytesIO, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(file)
        self._archive, self._folder = archive, folder
        self._storages: dict[str, Tensor] = {}
        # Tensors may share a storage; an honest archive has no reason to unfold to more than it holds.
        self._bytes_left = 2 * sum(member.file_size for member in archive.infolist())

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._rebuild_tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch.jit._pickle" and name in (
            "build_intlist",
            "build_doublelist",
            "build_boollist",
            "build_tensorlist",
        ):
            return list
        if module.split(".")[0] == "__torch__":
            return _Node
        raise CheckpointError(f"refused: its pickle asks for {module}.{name}, which is no weight")

    def persistent_load(self, identity: object) -> Tensor:
        match identity:
            case ("storage", torch.dtype() as dtype, str(key), _, int(numel)):
                if key not in self._storages:
                    self._storages[key] = self._read_storage(dtype, key, numel)
                return self._storages[key]
        raise CheckpointError("refused: a storage that is described in an unknown way")

    def _read_storage(self, dtype: torch.dtype, key: str, numel: int) -> Tensor:
        member = self._archive.getinfo(f"{self._folder}/data/{key}")
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != numel * dtype.itemsize:
            raise CheckpointError(f"storage {key} has {member.file_size:,} bytes, {numel:,} x {dtype} were announced")
        if numel == 0:
            return torch.empty(0, dtype=dtype)
        return torch.frombuffer(bytearray(self._archive.read(member)), dtype=dtype)

    def _rebuild_tensor(
        self, storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
    ) -> Tensor:
        if math.prod(size) > storage.numel():  # a stride of 0 makes terabytes of one number
            raise CheckpointError(f"refused: a tensor of shape {list(size)} in a storage of {storage.numel():,}")
        self._bytes_left -= math.prod(size) * storage.dtype.itemsize
        if self._bytes_left < 0:
            raise CheckpointError("refused: its tensors are together larger than the archive")
        return storage.as_strided(size, stride, offset).clone()
