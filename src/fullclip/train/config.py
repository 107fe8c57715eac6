"""Everything that decides a training run's outcome, as frozen settings that check themselves. Recipes fill them in."""

import math
from dataclasses import dataclass
from typing import Literal

from fullclip.models.config import ClipConfig
from fullclip.preprocess.image import CropConfig, PreprocessConfig


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """shards: files, globs or folders, local, s3:// or https://. weights: one for each of `shards`, how often a pair of it is
    drawn; none mixes all pairs evenly. shuffle_size: pairs held in memory to be mixed. lanes: into how many streams the data
    are cut (`data/order.py`); none takes the largest divisor of the batch up to 256. workers: decoding processes of each
    training process; 0 decodes in threads, none is 0 on a CPU and as many as there are cores to share beside a GPU. tokenizer:
    the tokenizer.json of a vocabulary of one's own, for a model that starts from nothing; none is CLIP's.
    """

    shards: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    shuffle_size: int = 10_000
    lanes: int | None = None
    workers: int | None = None
    strict: bool = False
    crop: CropConfig = CropConfig()
    tokenizer: str = ""

    def __post_init__(self) -> None:
        _at_least(1, {"data.shuffle_size": self.shuffle_size, "data.lanes": 1 if self.lanes is None else self.lanes})
        _at_least(0, {"data.workers": self.workers or 0})
        if self.weights and len(self.weights) != len(self.shards):
            raise ValueError(
                f"data.weights has {len(self.weights)} numbers, data.shards {len(self.shards)} places: one for each"
            )
        if not all(weight > 0 for weight in self.weights):
            raise ValueError(f"data.weights is {list(self.weights)}: each above 0; leave out the place that is not wanted")


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """kind: the whole similarity matrix, the same by tiles (for batches whose matrix does not fit), or SigLIP's pairwise
    sigmoid, which needs model.logit_bias. teacher: a model whose similarities are to be imitated, beside the pairs
    themselves, with weight `teacher_weight`.
    """

    kind: Literal["softmax", "tiled_softmax", "sigmoid"] = "softmax"
    teacher: str = ""
    teacher_weight: float = 1.0

    def __post_init__(self) -> None:
        _at_least(0, {"loss.teacher_weight": self.teacher_weight})


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW, decay on matrices only, linear warm-up, then a cosine to zero. warmup counts steps.

    moments: what AdamW's averages are kept in; bfloat16 halves them, with stochastic rounding (section 2.5). clip_norm: the
    largest norm of the gradient. layer_decay: each block's rate is this times that of the block above it (1: all alike).
    lock: a tower that is not trained (LiT). lock_stages: how many of the image tower's first stages (a ViT's blocks) are not
    trained, the stem with them. average: the decay of a running average of the weights, written beside the model.
    """

    learning_rate: float
    beta1: float = 0.9
    beta2: float
    epsilon: float
    weight_decay: float = 0.2
    warmup: int = 2000
    moments: Literal["float32", "bfloat16"] = "float32"
    clip_norm: float | None = None
    layer_decay: float = 1.0
    lock: Literal["none", "image", "text"] = "none"
    lock_stages: int = 0
    average: float | None = None

    def __post_init__(self) -> None:
        _at_least(
            0, {"optim.warmup": self.warmup, "optim.lock_stages": self.lock_stages, "optim.weight_decay": self.weight_decay}
        )
        for name, value, largest in (
            ("learning_rate", self.learning_rate, math.inf),
            ("beta1", self.beta1, 1.0),
            ("beta2", self.beta2, 1.0),
            ("epsilon", self.epsilon, math.inf),
            ("clip_norm", 1.0 if self.clip_norm is None else self.clip_norm, math.inf),
            ("average", 0.5 if self.average is None else self.average, 1.0),
        ):
            if not 0 < value < largest:
                raise ValueError(f"optim.{name} is {value}: above 0 and below {largest}")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"optim.layer_decay is {self.layer_decay}: above 0 and at most 1")


@dataclass(frozen=True, kw_only=True)
class GuardConfig:
    """A step whose gradient is no finite number is left out. After `patience` such steps in a row the run goes back to its
    last checkpoint, with the data that follow, at most `rollbacks` times. spike: a gradient whose norm is so many times its
    running average is left out, too.
    """

    patience: int = 10
    rollbacks: int = 3
    spike: float | None = None

    def __post_init__(self) -> None:
        _at_least(1, {"guard.patience": self.patience})
        _at_least(0, {"guard.rollbacks": self.rollbacks})
        if self.spike is not None and not self.spike > 1:
            raise ValueError(f"guard.spike is {self.spike}: above 1, or none for no such guard")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """steps: of batch_size pairs each, over all processes. micro_batch: how many pairs go through the model at once in each
    process; the loss still sees the whole batch (GradCache). minutes: a limit of wall-clock time; the schedule then follows
    whichever of steps and time is further on, so that a slow machine still ends with a small learning rate. precision: what
    matrices are multiplied in; "auto" is bfloat16 where the processor does it in hardware; "float64" computes all in it.
    parallel: with several processes, a whole model in each (ddp) or a share of it (fsdp). init: a model to start from.
    init_text: a model to take the text tower and its vocabulary from, beside a new image tower.

    checkpoint_every and checkpoint_minutes: whichever comes first. keep: how many checkpoints stay; those of every
    `milestone_every` steps stay, too. checkpoints: where they go, if not into the folder of the run; it may be s3://.
    evaluate_every: steps between evaluations.
    """

    steps: int
    batch_size: int
    micro_batch: int | None = None
    seed: int = 0
    minutes: float | None = None
    precision: Literal["auto", "float32", "bfloat16", "float64"] = "auto"
    parallel: Literal["ddp", "fsdp"] = "ddp"
    compile: bool = False
    checkpoint_image_tower: bool = False
    checkpoint_text_tower: bool = False
    init: str = ""
    init_text: str = ""
    log_every: int = 10
    evaluate_every: int | None = None
    checkpoint_every: int = 1000
    checkpoint_minutes: float | None = None
    keep: int = 3
    milestone_every: int | None = None
    checkpoints: str = ""

    def __post_init__(self) -> None:
        counts = ("steps", "micro_batch", "log_every", "evaluate_every", "checkpoint_every", "keep", "milestone_every")
        values = {f"train.{name}": getattr(self, name) for name in counts}
        _at_least(1, {name: value for name, value in values.items() if value is not None})
        _at_least(0, {"train.seed": self.seed})
        if self.seed >= 2**63:
            raise ValueError(f"train.seed is {self.seed}: below 2^63")
        if self.batch_size < 2:
            raise ValueError(f"train.batch_size is {self.batch_size}: a contrastive loss needs at least 2 pairs")
        if self.init and self.init_text:
            raise ValueError("train.init and train.init_text: a model has a text tower already; leave one out")
        for name, minutes in (("minutes", self.minutes), ("checkpoint_minutes", self.checkpoint_minutes)):
            if minutes is not None and not minutes > 0:
                raise ValueError(f"train.{name} is {minutes}: above 0, or none for no limit")


def _at_least(least: int, settings: dict[str, int | float]) -> None:
    for name, value in settings.items():
        if not value >= least:
            raise ValueError(f"{name} is {value}: at least {least}")


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that decides a training run's outcome."""

    model: ClipConfig
    data: DataConfig
    loss: LossConfig = LossConfig()
    optim: OptimConfig
    guard: GuardConfig = GuardConfig()
    train: TrainConfig
    preprocess: PreprocessConfig
