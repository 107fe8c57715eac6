"""What a run says of its speed, against PyTorch's own count of what was computed."""

import json
from dataclasses import replace

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fullclip.core.distributed import World
from fullclip.core.logs import MetricsLog
from fullclip.core.types import Batch
from fullclip.models.clip import build
from fullclip.models.config import PRESETS
from fullclip.train.checkpoints.contents import Progress
from fullclip.train.recipes import demo
from fullclip.train.reporting import Bar, Report
from fullclip.train.step import StepOutcome


def test_short_texts_count_as_what_they_are_computed_as(tmp_path):
    """300 texts of 2 to 30 tokens: three parts of like length on a CPU, each as long as its longest."""
    tiny = PRESETS["tiny"]
    text = replace(tiny.text, context_length=40)
    run = replace(demo(), model=replace(tiny, text=text))
    lengths = torch.randint(2, 31, (300,), generator=torch.Generator().manual_seed(0))
    tokens = torch.where(torch.arange(40) < lengths[:, None] - 1, 3, text.end_id)
    images = torch.zeros(300, 3, tiny.vision.image_size, tiny.vision.image_size)
    batch = Batch(images=images, tokens=tokens, keys=())
    outcome = StepOutcome(loss=torch.tensor(1.0), gradient_norm=torch.tensor(1.0), scale=torch.tensor(1.0))
    with MetricsLog(tmp_path, keep_until=0) as log, Bar(2, 0, shown=False) as bar:
        report = Report(log, bar, run, World.single(), flops_per_second=1.0)
        report.write(Progress(step=1, seconds=1.0), outcome, batch, rate=0.1, left_out=0)
        report.write(Progress(step=2, seconds=3.0), outcome, batch, rate=0.1, left_out=0)
    model = build(run.model)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model.encode_image(images)
        model.encode_text(tokens)
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["pairs_per_second"] == 150
    assert last["mfu"] * 2 == 3 * counter.get_total_flops()
