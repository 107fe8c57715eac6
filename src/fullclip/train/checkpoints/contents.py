"""What a checkpoint holds: all that the next step depends on, as safetensors, whole or in each process's shares.

`model.safetensors`, `optimizer.safetensors` (its averages by parameter), `average.safetensors` (where one is kept). A model
sharded over processes leaves a file of each for every process, `model-00000-of-00004.safetensors`, with its rows; joined on
the first axis they are the whole, so that any number of processes can go on from them.
"""

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.distributed.tensor import DTensor

from fullclip.core.config import from_dict, to_dict
from fullclip.core.distributed import World
from fullclip.core.folders import download, names_in
from fullclip.core.storage import is_remote
from fullclip.models.checkpoint import Checkpoint, Provenance
from fullclip.models.clip import Clip
from fullclip.models.writing import save_tensors
from fullclip.train.checkpoints.folder import read_progress
from fullclip.train.config import Run
from fullclip.train.local import local_part
from fullclip.train.optim.average import Average
from fullclip.train.optim.guard import Guard

_NUM_UPDATES = "num_updates"  # how often an average was moved, among its tensors
_PART = re.compile(r"(?P<kind>[a-z]+)(-(?P<rank>\d{5})-of-(?P<size>\d{5}))?\.safetensors")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run stands: steps done, what every lane of the data has given, seconds spent, how often it went back. `data`
    is the fingerprint of the sources that positions are counted in.
    """

    step: int = 0
    position: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    seconds: float = 0.0
    rollbacks: int = 0
    data: str = ""


@dataclass(frozen=True, kw_only=True)
class State:
    """The parts of a run that a step changes."""

    model: Clip
    optimizer: torch.optim.Optimizer
    average: Average | None
    guard: Guard

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Every tensor by the kind of file it goes into, as it lies on this process."""
        kinds = {"model": dict(self.model.state_dict()), "optimizer": self._moments()}
        if self.average is not None:
            kinds["average"] = self._averages(self.average)
        kinds["optimizer"]["guard"] = self.guard.state
        return kinds

    @staticmethod
    def _averages(average: Average) -> dict[str, Tensor]:
        state = average.state()
        return {_NUM_UPDATES: torch.tensor(state["num_updates"]), **state["averages"]}

    def _moments(self) -> dict[str, Tensor]:
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        return {
            f"{names[parameter]}/{kind}": tensor
            for parameter, state in self.optimizer.state.items()
            for kind, tensor in state.items()
        }


def snapshot(state: State, *, world: World, is_sharded: bool) -> dict[str, Callable[[Path], None]]:
    """Copies of this process's tensors in memory, as files to be written: name -> what writes it. The next step may change
    the originals. Empty on a process whose tensors are another's, too.
    """
    if not (is_sharded or world.leads):
        return {}
    part = f"-{world.rank:05d}-of-{world.size:05d}" if is_sharded else ""
    files: dict[str, Callable[[Path], None]] = {}
    for kind, tensors in state.tensors().items():
        wanted = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, DTensor) or world.leads}
        copies = {name: local_part(tensor).to("cpu", copy=True).contiguous() for name, tensor in wanted.items()}
        files[f"{kind}{part}.safetensors"] = partial(save_tensors, copies)
    return files


class Parts:
    """The tensors of one kind in a checkpoint, read by name and rows, from however many files hold them."""

    def __init__(self, checkpoint: Path, kind: str) -> None:
        found = [(match, path) for path in checkpoint.iterdir() if (match := _PART.fullmatch(path.name))]
        paths = sorted(path for match, path in found if match["kind"] == kind)
        sizes = {int(match["size"] or 1) for match, _ in found if match["kind"] == kind}
        if not paths or sizes != {len(paths)}:
            raise ValueError(f"{checkpoint} has {len(paths)} files of its {kind}, of {max(sizes, default=1)}")
        try:
            self._files = [safe_open(path, framework="pt") for path in paths]
        except SafetensorError as error:
            raise ValueError(f"{checkpoint}: {error}") from None
        self._holders: dict[str, list[Any]] = {}
        for file in self._files:
            for name in file.keys():  # noqa: SIM118 - a reader, no mapping
                self._holders.setdefault(name, []).append(file)

    @property
    def names(self) -> Iterable[str]:
        return self._holders.keys()

    def whole(self, name: str) -> Tensor:
        """All rows of a tensor."""
        held = [file.get_tensor(name) for file in self._holders[name]]
        return held[0] if len(held) == 1 else torch.cat(held)

    def like(self, name: str, wanted: Tensor) -> Tensor:
        """The rows that `wanted` holds on this process, on its device, in the dtype that was saved."""
        tensor = self.whole(name)
        if list(tensor.shape) != list(wanted.shape):
            raise ValueError(f"{name} is {list(tensor.shape)} in the checkpoint, the run's is {list(wanted.shape)}")
        if isinstance(wanted, DTensor):
            mesh = wanted.device_mesh
            rows = tensor.chunk(mesh.size())
            rank = mesh.get_local_rank()
            own = rows[rank] if rank < len(rows) else tensor[:0]
            shape, stride = wanted.shape, wanted.stride()
            own = own.to(local_part(wanted).device)
            return DTensor.from_local(own, mesh, wanted.placements, run_check=False, shape=shape, stride=stride)
        return tensor.to(wanted.device)


def restore(checkpoint: str, state: State) -> Progress:
    """Put a checkpoint's tensors in place, on this process's shares. ValueError where it is of another model."""
    with _local(checkpoint) as folder:
        model, moments = Parts(folder, "model"), Parts(folder, "optimizer")
        _copy_into(state.model.state_dict(), model, checkpoint)
        state.optimizer.state.clear()
        for name, parameter in state.model.named_parameters():
            kinds = [saved.rpartition("/")[2] for saved in moments.names if saved.rpartition("/")[0] == name]
            if kinds:
                state.optimizer.state[parameter] = {
                    kind: moments.whole(f"{name}/step").to(parameter.device)
                    if kind == "step"
                    else moments.like(f"{name}/{kind}", parameter)
                    for kind in kinds
                }
        state.guard.state = moments.whole("guard").to(state.guard.state.device)
        if state.average is not None:
            parts, wanted = Parts(folder, "average"), state.average.state()["averages"]
            averages = {name: parts.like(name, tensor) for name, tensor in wanted.items()}
            state.average.load({"num_updates": int(parts.whole(_NUM_UPDATES)), "averages": averages})
    return progress_of(checkpoint)


def _copy_into(targets: Mapping[str, Tensor], parts: Parts, checkpoint: str) -> None:
    differing = sorted(set(targets) ^ set(parts.names))
    if differing:
        raise ValueError(f"{checkpoint} is of another architecture: {differing[0]} is only in one of the two")
    with torch.no_grad():
        for name, target in targets.items():
            local_part(target).copy_(local_part(parts.like(name, target)))


def progress_of(checkpoint: str) -> Progress:
    """How far a run had come."""
    told = read_progress(checkpoint)
    position = {int(lane): tuple(taken) for lane, taken in told["position"].items()}
    rest = {name: told[name] for name in ("step", "seconds", "rollbacks", "data")}
    return Progress(position=position, **rest)


def progress_to_dict(progress: Progress, run: Run) -> dict[str, Any]:
    """What progress.json says beside the files' hashes: where the run stands, and which run it is."""
    position = {str(lane): list(taken) for lane, taken in sorted(progress.position.items())}
    return {
        "step": progress.step,
        "position": position,
        "seconds": progress.seconds,
        "rollbacks": progress.rollbacks,
        "data": progress.data,
        "run": to_dict(run),
    }


def run_of(checkpoint: str) -> Run:
    """The settings of the run that wrote a checkpoint."""
    return from_dict(Run, read_progress(checkpoint)["run"])


def model_in(checkpoint: str) -> Checkpoint:
    """The model of a training checkpoint, joined from its shares where it was sharded."""
    run = run_of(checkpoint)
    with _local(checkpoint) as folder:
        parts = Parts(folder, "model")
        state = {name: parts.whole(name) for name in parts.names}
    return trained(run, state)


def trained(run: Run, state: Mapping[str, Tensor]) -> Checkpoint:
    """Weights that a run has come to, as a model."""
    provenance = Provenance(source="fullclip train", training_data=", ".join(run.data.shards))
    return Checkpoint(config=run.model, state=dict(state), preprocess=run.preprocess, provenance=provenance)


@contextmanager
def _local(checkpoint: str) -> Iterator[Path]:
    """A checkpoint's files on this machine: a remote one is fetched, and forgotten afterwards."""
    if not is_remote(checkpoint):
        yield Path(checkpoint)
        return
    with tempfile.TemporaryDirectory(prefix="fullclip-") as folder:
        for name in names_in(checkpoint):
            download(f"{checkpoint}/{name}", Path(folder) / name)
        yield Path(folder)
