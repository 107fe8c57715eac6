"""A run is a function that returns its whole config. The paper's hyper-parameters are in its Tables 18 to 20."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from fullclip.models.config import PRESETS, ClipConfig, ResNetConfig, TextConfig
from fullclip.preprocess.image import CropConfig, PreprocessConfig

PAPER_PAIRS = 400_000_000  # WebImageText (section 2.2)
PAPER_BATCH = 32_768
PAPER_STEPS = 32 * PAPER_PAIRS // PAPER_BATCH  # 32 epochs


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """shards: files, globs or folders. shuffle_size: pairs held in memory to be mixed."""

    shards: tuple[str, ...] = ()
    shuffle_size: int = 10_000
    strict: bool = False
    crop: CropConfig = CropConfig()

    def __post_init__(self) -> None:
        _at_least(1, {"data.shuffle_size": self.shuffle_size})


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW, decay on matrices only, linear warm-up, then a cosine to zero. warmup counts steps."""

    learning_rate: float
    beta1: float = 0.9
    beta2: float
    epsilon: float
    weight_decay: float = 0.2
    warmup: int = 2000

    def __post_init__(self) -> None:
        _at_least(0, {"optim.warmup": self.warmup, "optim.weight_decay": self.weight_decay})
        for name, value, largest in (
            ("learning_rate", self.learning_rate, math.inf),
            ("beta1", self.beta1, 1.0),
            ("beta2", self.beta2, 1.0),
            ("epsilon", self.epsilon, math.inf),
        ):
            if not 0 < value < largest:
                raise ValueError(f"optim.{name} is {value}: above 0 and below {largest}")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """steps: of batch_size pairs each. minutes: a limit of wall-clock time; the schedule then follows whichever of steps
    and time is further on, so that a slow machine still ends with a small learning rate. precision: what matrices are
    multiplied in; "auto" is bfloat16 where the processor does it in hardware. keep: how many checkpoints stay.
    """

    steps: int
    batch_size: int
    seed: int = 0
    checkpoint_every: int = 1000
    log_every: int = 10
    keep: int = 3
    minutes: float | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    checkpoint_image_tower: bool = False
    checkpoint_text_tower: bool = False

    def __post_init__(self) -> None:
        counts = {
            "steps": self.steps,
            "checkpoint_every": self.checkpoint_every,
            "log_every": self.log_every,
            "keep": self.keep,
        }
        _at_least(1, {f"train.{name}": value for name, value in counts.items()})
        _at_least(0, {"train.seed": self.seed})
        if self.batch_size < 2:
            raise ValueError(f"train.batch_size is {self.batch_size}: a contrastive loss needs at least 2 pairs")
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"train.minutes is {self.minutes}: above 0, or none for no limit")


def _at_least(least: int, settings: dict[str, int | float]) -> None:
    for name, value in settings.items():
        if not value >= least:
            raise ValueError(f"{name} is {value}: at least {least}")


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that decides a training run's outcome."""

    model: ClipConfig
    data: DataConfig
    optim: OptimConfig
    train: TrainConfig
    preprocess: PreprocessConfig


def demo() -> Run:
    """A small ResNet and text Transformer on the sample shard that ships with the package.

    fullclip train demo --out demo      three minutes on two cores; 8% to 11% recall@1 among 100 unseen pairs
    """
    sample = str(files("fullclip").joinpath("assets/sample/train"))
    model = ClipConfig(
        embed=128,
        vision=ResNetConfig(image_size=64, blocks=(1, 1, 1, 1), width=32, heads=8),
        text=TextConfig(width=128, layers=2, heads=2, mlp_width=512, context_length=32),
    )
    return Run(
        model=model,
        data=DataConfig(shards=(sample,)),
        optim=OptimConfig(learning_rate=1e-3, beta2=0.98, epsilon=1e-6, weight_decay=0.2, warmup=50),
        train=TrainConfig(steps=1000, batch_size=128, checkpoint_every=200, minutes=3.0),
        preprocess=PreprocessConfig(size=64),
    )


def _paper(preset: str, *, learning_rate: float) -> Run:
    """What all models of the paper share (Table 18); betas and epsilon differ by the kind of image tower."""
    model = PRESETS[preset]
    is_resnet = isinstance(model.vision, ResNetConfig)
    return Run(
        model=model,
        data=DataConfig(),
        optim=OptimConfig(learning_rate=learning_rate, beta2=0.999 if is_resnet else 0.98, epsilon=1e-8 if is_resnet else 1e-6),
        train=TrainConfig(steps=PAPER_STEPS, batch_size=PAPER_BATCH, checkpoint_image_tower=True, checkpoint_text_tower=True),
        preprocess=PreprocessConfig(size=model.vision.image_size),
    )


def vit_b_32() -> Run:
    """ViT-B/32 as in the paper: 63.2% zero-shot on ImageNet.

    fullclip train vit_b_32 --out runs/b32 --set data.shards=/data/wit
    """
    return _paper("ViT-B-32", learning_rate=5e-4)


def vit_b_16() -> Run:
    """ViT-B/16 as in the paper: 68.3% zero-shot on ImageNet (OpenCLIP's measurement of OpenAI's weights).

    fullclip train vit_b_16 --out runs/b16 --set data.shards=/data/wit
    """
    return _paper("ViT-B-16", learning_rate=5e-4)


def vit_l_14() -> Run:
    """ViT-L/14 as in the paper, before its epoch at 336 pixels: 75.5% zero-shot on ImageNet (OpenCLIP's measurement of
    OpenAI's weights); 12 days on 256 V100.

    fullclip train vit_l_14 --out runs/l14 --set data.shards=/data/wit
    """
    return _paper("ViT-L-14", learning_rate=4e-4)


def rn50() -> Run:
    """ResNet-50 as in the paper: 59.8% zero-shot on ImageNet (OpenCLIP's measurement of OpenAI's weights).

    fullclip train rn50 --out runs/rn50 --set data.shards=/data/wit
    """
    return _paper("RN50", learning_rate=5e-4)


RECIPES: dict[str, Callable[[], Run]] = {
    "demo": demo,
    "vit_b_32": vit_b_32,
    "vit_b_16": vit_b_16,
    "vit_l_14": vit_l_14,
    "rn50": rn50,
}
