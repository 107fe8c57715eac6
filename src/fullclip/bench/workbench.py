"""What all measurements share: the model, opened as a user opens it, the same model in other packages' hands, and how much of
everything is measured. Each part is made when it is first asked for.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from fullclip.bench.peers import Absent, Peer, open_peers
from fullclip.bench.rows import Bar
from fullclip.bench.subject import Subject, open_subject
from fullclip.train.speed import product_flops


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured. The defaults take about five minutes on two cores with a ViT-B/32.

    side: of the matrices of the ceiling. batches: of the sweep. classes, classifier_classes: of ImageNet's, for our prompts and
    our classifier. their_prompts, their_classes: of the same, for others, whose rate needs no more. jpegs: files of 500 x 375
    pixels. photographs: files of 4000 x 3000. pairs: for the agreement of a model with random weights. streamed: images, few
    and many. ways: of exporting, which takes long (`exported.WAYS`). seconds: how long short work is done again and again in
    each round.
    """

    side: int = 2048
    batch: int = 32
    batches: tuple[int, ...] = (1, 8, 16, 32, 64)
    classes: int = 100
    their_prompts: int = 64
    classifier_classes: int = 50
    their_classes: int = 3
    jpegs: int = 64
    photographs: int = 2
    pairs: int = 64
    streamed: tuple[int, int] = (500, 2500)
    ways: tuple[str, ...] = ("onnx", "openvino")
    seconds: float = 0.5


FULL = Sizes(classifier_classes=1000, streamed=(500, 5000), ways=("onnx", "onnx-int8", "openvino", "openvino-int8"))


def for_gpu(sizes: Sizes) -> Sizes:
    """As much as a GPU needs to be busy."""
    return replace(sizes, side=8192, batches=(1, 8, 32, 128, 512, 1024), their_prompts=2560, jpegs=2048)


@dataclass(frozen=True, kw_only=True)
class Workbench:
    """`model` as `open_subject` takes it; `folder` is an empty one for what has to be written on the way."""

    model: str
    folder: Path
    rounds: int = 3
    sizes: Sizes = field(default_factory=Sizes)

    @cached_property
    def subject(self) -> Subject:
        """The model that is measured."""
        return open_subject(self.model, self.folder)

    @cached_property
    def _peers(self) -> tuple[tuple[Peer, ...], tuple[Absent, ...]]:
        return open_peers(self.subject, self.folder)

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The same model in the hands of those packages that are here."""
        return self._peers[0]

    @property
    def absent(self) -> tuple[Absent, ...]:
        """Those that are not here, or that have no such model, and why."""
        return self._peers[1]

    @cached_property
    def device(self) -> torch.device:
        """Where `fullclip.load` puts a model."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def asked(self, bar: Bar) -> Bar | None:
        """What is asked of ourselves, where it is asked: of CPUs, beside others in float32."""
        return bar if self.device.type == "cpu" else None

    def ceiling(self, dtype: torch.dtype) -> float:
        """The best GFLOP/s of matrix products in this precision, now."""
        return product_flops(self.device, dtype, side=self.sizes.side, seconds=self.sizes.seconds) / 1e9

    @property
    def batch(self) -> int:
        """How many images both sides see at a time: on a GPU as many as ours is fastest with."""
        return self.sizes.batch if self.subject.encoder.device.type == "cpu" else self.subject.encoder.batch_size

    def pixels(self, batch: int) -> Tensor:
        """Random pixels of the size that the model wants; what they show costs nothing."""
        side = self.subject.encoder.preprocess.size
        pixels = torch.randn(batch, 3, side, side, generator=torch.Generator().manual_seed(0))
        return pixels.to(self.subject.encoder.device)

    def described(self) -> dict[str, str]:
        """The model in a line, where it was opened."""
        return {"model": self.subject.describe()} if "subject" in self.__dict__ else {}
