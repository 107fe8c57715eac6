"""A way of learning, pairs and a budget -> the way at each number of images at which it is to be measured.

One short loop for every way; CLIP's own, which resumes and spreads over machines, is in train/.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch
from rich.progress import TextColumn

from fullclip.baselines.learning.pairs import Batches, Pairs
from fullclip.baselines.learning.settings import Settings
from fullclip.baselines.learning.way import Way
from fullclip.core.logs import progress
from fullclip.train.config import OptimConfig
from fullclip.train.optim.average import Average
from fullclip.train.optim.optimizer import learning_rate
from fullclip.train.step import has_bfloat16


def learn(way: Way, pairs: Pairs, settings: Settings, *, seed: int, title: str) -> Iterator[int]:
    """Train `way`, and give at each of `settings.marks` how many images it has seen. Meanwhile `way` is in evaluation mode and
    holds the average of its weights; what is changed in it then is undone.

    Batches and chance follow from the seed and the step alone. ValueError where there are fewer pairs than a batch,
    FloatingPointError where the loss is no finite number.
    """
    device = next(way.parameters()).device
    batches = Batches(pairs, image_size=settings.vision.image_size, batch_size=settings.batch_size, seed=seed)
    way.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer, average = adamw(way, settings.optim), Average(way, settings.average)
    with progress("steps", TextColumn("loss {task.fields[loss]:.3f}")) as bar:
        task = bar.add_task(title, total=settings.steps, loss=float("nan"))
        for step in range(settings.steps):
            way.train()
            torch.manual_seed(int(np.random.SeedSequence([seed, step]).generate_state(1)[0]))
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(settings.optim, step=step, progress=0.0)
            images, texts = batches(step)
            optimizer.zero_grad(set_to_none=True)
            with autocast(settings, device):
                loss = way.loss(images.to(device), texts)
            torch.autograd.backward(loss)
            optimizer.step()
            way.after_step()
            average.update(way)
            found = loss.item()
            if not np.isfinite(found):
                raise FloatingPointError(f"{title}: the loss of step {step + 1} is {found}; set optim.learning_rate lower")
            bar.update(task, advance=1, loss=found)
            if step + 1 in settings.marks:
                with average.applied(way):
                    way.eval()
                    yield (step + 1) * settings.batch_size


def autocast(settings: Settings, device: torch.device) -> AbstractContextManager[None]:
    """What matrices are multiplied in, by the settings and the device."""
    return torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "auto" and has_bfloat16(device))


def adamw(way: Way, config: OptimConfig) -> torch.optim.Optimizer:
    """AdamW with decoupled decay on matrices alone, as CLIP is trained (section 2.5)."""
    trained = [parameter for parameter in way.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        fused=True,
    )
