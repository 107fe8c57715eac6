"""From a run's settings to its parts, or to one line that says why they do not fit together, before the first step."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from fullclip import losses
from fullclip.core.distributed import World
from fullclip.core.processor import cores_beside_gpu
from fullclip.core.types import Batch, Features
from fullclip.data.survey import Source
from fullclip.inference import tokenizer_of
from fullclip.models.checkpoint import Checkpoint
from fullclip.models.clip import Clip, build, initialize
from fullclip.models.hub import locate
from fullclip.models.resolution import change_resolution
from fullclip.models.weights import read_checkpoint, to_module
from fullclip.preprocess.tokenizer import Tokenizer
from fullclip.train.checkpoints.contents import Progress, State, restore
from fullclip.train.config import Run


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """A model with its first weights, on the CPU, and the tokenizer that belongs to it."""

    model: Clip
    tokenizer: Tokenizer


def check(run: Run, world: World) -> None:
    """ValueError for settings that do not fit together."""
    if not run.data.shards:
        raise ValueError("no data: say where the shards are, --set data.shards=FOLDER (`fullclip data shard` makes them)")
    if run.model.vision.image_size != run.preprocess.size:
        raise ValueError(
            f"model.vision.image_size is {run.model.vision.image_size} and preprocess.size {run.preprocess.size}: set both"
        )
    if run.train.batch_size % world.size:
        fitting = world.size * max(1, run.train.batch_size // world.size)
        raise ValueError(
            f"train.batch_size is {run.train.batch_size}: {world.size} processes cannot share it evenly; set it to {fitting}"
        )
    if run.loss.kind == "sigmoid" and run.model.logit_bias is None:
        raise ValueError("loss.kind=sigmoid learns a bias: add --set model.logit_bias=-10 (SigLIP)")
    if run.loss.kind != "sigmoid" and run.model.logit_bias is not None:
        raise ValueError(
            f"model.logit_bias={run.model.logit_bias} has no part in a softmax: set it to none, or loss.kind=sigmoid"
        )
    begun = {"none": True, "image": bool(run.train.init), "text": bool(run.train.init or run.train.init_text)}
    if not begun[run.optim.lock]:
        raise ValueError(f"optim.lock={run.optim.lock} would keep a tower of random weights: add --init MODEL")
    if run.optim.lock_stages and not run.train.init:
        raise ValueError(f"optim.lock_stages={run.optim.lock_stages} would keep stages of random weights: add --init MODEL")
    if run.data.tokenizer and (name := run.train.init or run.train.init_text):
        raise ValueError(f"data.tokenizer={run.data.tokenizer}: {name} has a vocabulary of its own; leave it out")


def begin(run: Run) -> Beginning:
    """New weights by the run's seed, or those of `train.init`, or `train.init_text`'s text tower beside a new image tower."""
    if run.train.init:
        return _from_model(run)
    given = _opened(run.train.init_text) if run.train.init_text else None
    tokenizer, text = _own_tokenizer(run) if given is None else given.tokenizer, run.model.text
    if (text.vocab_size, text.end_id) != (tokenizer.vocab_size, tokenizer.end_id):
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size} pieces, its end is {tokenizer.end_id}; model.text has {text.vocab_size}"
            f" and {text.end_id}: give another, --set data.tokenizer=FILE, or add --set model.text.vocab_size="
            f"{tokenizer.vocab_size} --set model.text.end_id={tokenizer.end_id}"
        )
    model = build(run.model)
    initialize(model, torch.Generator().manual_seed(run.train.seed))
    if given is not None:
        if (given.checkpoint.config.text, given.checkpoint.config.embed) != (text, run.model.embed):
            raise ValueError(
                f"the text tower of train.init_text={run.train.init_text} has other shapes than model.text: leave model.text"
                " and model.embed as they are there"
            )
        model.text.load_state_dict(to_module(given.checkpoint).text.state_dict())
    return Beginning(model=model, tokenizer=tokenizer)


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """A model that a run begins with, as it lies on disk."""

    path: Path
    checkpoint: Checkpoint
    tokenizer: Tokenizer


def _opened(name: str) -> _Opened:
    """ValueError where it has no tokenizer."""
    path, _ = locate(name)
    checkpoint = read_checkpoint(path)
    tokenizer = tokenizer_of(path, checkpoint)
    if tokenizer is None:
        raise ValueError(f"{name} comes without its tokenizer: training needs one")
    return _Opened(path=path, checkpoint=checkpoint, tokenizer=tokenizer)


def _from_model(run: Run) -> Beginning:
    given = _opened(run.train.init)
    checkpoint = given.checkpoint
    if checkpoint.config.vision.image_size != run.model.vision.image_size:
        checkpoint = change_resolution(checkpoint, run.model.vision.image_size)
    state = dict(checkpoint.state)
    if run.model.logit_bias is not None:
        state.setdefault("logit_bias", torch.tensor(run.model.logit_bias))
    model = to_module(replace(checkpoint, config=run.model, state=state), source=given.path)
    return Beginning(model=model, tokenizer=given.tokenizer)


def tokenizer_for(run: Run) -> Tokenizer | None:
    """The tokenizer of a run's model: that of the model it started from, of a file, or CLIP's."""
    if name := run.train.init or run.train.init_text:
        path, _ = locate(name)
        return tokenizer_of(path, read_checkpoint(path))
    return _own_tokenizer(run)


def _own_tokenizer(run: Run) -> Tokenizer:
    """Of a model that starts from nothing: that of a file, or CLIP's."""
    length = run.model.text.context_length
    if run.data.tokenizer:
        return Tokenizer.from_file(run.data.tokenizer, context_length=length)
    return Tokenizer.clip(context_length=length)


def started_from(run: Run) -> Run:
    """`run` with the shape and the preprocessing of the model it names, to be trained further; or with the shape of the text
    tower that it takes over.
    """
    if run.train.init:
        checkpoint = read_checkpoint(locate(run.train.init)[0])
        return replace(run, model=checkpoint.config, preprocess=checkpoint.preprocess)
    if run.train.init_text:
        config = read_checkpoint(locate(run.train.init_text)[0]).config
        return replace(run, model=replace(run.model, text=config.text, embed=config.embed))
    return run


def loss_of(run: Run, world: World) -> Callable[[Features], Tensor]:
    """The loss that the run names."""
    kinds = {"softmax": losses.softmax, "tiled_softmax": losses.tiled_softmax, "sigmoid": losses.sigmoid}
    return partial(kinds[run.loss.kind], world=world)


def num_workers(run: Run, device: torch.device) -> int:
    """Beside a GPU, this process's share of the cores decodes; on a CPU the model needs them, and threads fill the gaps."""
    if run.data.workers is not None:
        return run.data.workers
    return cores_beside_gpu() if device.type == "cuda" else 0


@contextmanager
def threads_beside(device: torch.device) -> Iterator[None]:
    """Beside a GPU this process copies, on one thread: more would wait for each other wherever workers have the cores."""
    before = torch.get_num_threads()
    if device.type == "cuda":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fingerprint(sources: Sequence[Source]) -> str:
    """Of the shards' names and sizes, in which the positions of a run are counted; folders may be moved."""
    shards = [[(shard.path.rpartition("/")[2], shard.num_samples) for shard in source.shards] for source in sources]
    return hashlib.sha256(json.dumps(shards).encode()).hexdigest()


def continued(checkpoint: str, state: State, fresh: Progress) -> Progress:
    """The state of a checkpoint put in place. ValueError where its data are not those of `fresh`."""
    progress = restore(checkpoint, state)
    if progress.data != fresh.data:
        raise ValueError(
            f"the shards are not those that {checkpoint} was trained on (others in number, name or size): samples would be"
            " repeated and skipped; put them back, or begin a new run: --init MODEL --out FOLDER"
        )
    return progress


def blank_batch(run: Run, world: World) -> Batch:
    """A batch of this process's share that shows nothing and says nothing."""
    n, size, text = run.train.batch_size // world.size, run.preprocess.size, run.model.text
    channels = run.model.vision.width if run.model.vision.kind == "features" else 3
    tokens = torch.full((n, text.context_length), text.end_id)
    return Batch(images=torch.zeros(n, channels, size, size), tokens=tokens, keys=("",) * n)
