"""Everything that decides a comparison's outcome, beside its data: one image tower, one budget, one optimizer for all ways."""

from dataclasses import dataclass
from typing import Literal

from fullclip.models.config import ResNetConfig, TextConfig, VitConfig
from fullclip.train.config import OptimConfig

_DOUBLINGS = 6
_TOWER = ResNetConfig(image_size=64, blocks=(1, 1, 1, 1), width=16, heads=8)
_OPTIM = OptimConfig(learning_rate=1e-3, beta2=0.98, epsilon=1e-6, weight_decay=0.2, warmup=50)


@dataclass(frozen=True, kw_only=True)
class TextShape:
    """Of every Transformer that reads or writes texts, and of embeddings of words."""

    width: int = 64
    layers: int = 2
    heads: int = 2
    context_length: int = 32

    def __post_init__(self) -> None:
        if min(self.width, self.layers, self.heads) < 1 or self.context_length < 3:
            raise ValueError(f"text: sizes from 1 and a context_length from 3 are needed, got {self}")

    def config(self, vocab_size: int, *, end_id: int) -> TextConfig:
        """The Transformer of this shape over a vocabulary."""
        return TextConfig(
            context_length=self.context_length,
            vocab_size=vocab_size,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            mlp_width=4 * self.width,
            end_id=end_id,
        )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """vision, embed: the image tower that all ways share, and the width of what it gives. images: how many are processed in
    all; every: after how many of them accuracy is measured, none for each halving of `images` down to a 64th.

    The rate stays as it is after its warm-up, and what is measured is a running average of the weights (`average` is its
    decay), so that every number of images is as good an end as the last. num_pieces, num_words: the largest vocabularies;
    what occurs in fewer than `least` texts of the pairs is in none. num_questions: pictures of a task that are asked about.
    precision: what matrices are multiplied in; "auto" is bfloat16 where the processor does it in hardware.
    """

    vision: VitConfig | ResNetConfig = _TOWER
    embed: int = 256
    text: TextShape = TextShape()
    images: int = 200_000
    every: int | None = None
    batch_size: int = 128
    optim: OptimConfig = _OPTIM
    average: float = 0.99
    precision: Literal["auto", "float32"] = "auto"
    num_pieces: int = 8192
    num_words: int = 8192
    least: int = 5
    num_questions: int = 1000

    def __post_init__(self) -> None:
        for name in ("embed", "images", "num_pieces", "num_words", "least", "num_questions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: at least 1")
        if self.batch_size < 2:
            raise ValueError(f"batch_size is {self.batch_size}: a contrastive loss needs at least 2 pairs")
        if self.images < self.batch_size:
            raise ValueError(f"images is {self.images}, less than one batch of {self.batch_size}: set it higher")
        if self.every is not None and not 1 <= self.every <= self.images:
            raise ValueError(f"every is {self.every}: from 1 to the {self.images} images, or none for halvings of them")
        if not 0 < self.average < 1:
            raise ValueError(f"average is {self.average}: above 0 and below 1")

    @property
    def steps(self) -> int:
        return -(-self.images // self.batch_size)

    @property
    def marks(self) -> tuple[int, ...]:
        """After how many steps accuracy is measured, the last step among them."""
        if self.every is None:
            images = [self.images / 2**halving for halving in range(_DOUBLINGS, -1, -1)]
        else:
            images = [float(self.every * k) for k in range(1, self.images // self.every + 1)]
        return tuple(sorted({max(1, min(self.steps, round(each / self.batch_size))) for each in images} | {self.steps}))
