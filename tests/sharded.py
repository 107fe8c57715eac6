"""What processes do in the tests with weights that are spread over them, as FSDP2 spreads them."""

from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from fullclip.core.distributed import World
from fullclip.train.optim.average import Average
from fullclip.train.optim.half_adamw import HalfAdamW
from fullclip.train.optim.optimizer import step_unless

SETTINGS = {"lr": 0.01, "betas": (0.9, 0.98), "eps": 1e-6, "weight_decay": 0.2}
STEPS, LEFT_OUT = 6, 3


def build(kind: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """By name: PyTorch's fused AdamW, or ours with moments in float32 or bfloat16."""
    if kind == "fused":
        return torch.optim.AdamW(parameters, **SETTINGS, fused=True)
    return HalfAdamW(parameters, **SETTINGS, moments=getattr(torch, kind))


def matrices() -> list[torch.Tensor]:
    """Rows that divide by two, that do not, and a single one, which leaves the second process nothing."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(rows, 4, generator=generator) for rows in (6, 5, 1)]


def train_all(world: World) -> dict[str, dict[str, Any]]:
    """`train` with each optimizer, in one start of the processes."""
    return {kind: train(world, kind) for kind in ("fused", "float32", "bfloat16")}


def train(world: World, kind: str) -> dict[str, Any]:
    """Some steps, one of them left out, with an average beside them and the state through a file's worth of copies.

    The answer: whole weights, averages and step counters; at one process nothing is spread.
    """
    mesh = init_device_mesh("cpu", (world.size,)) if world.size > 1 else None

    def spread(tensor: torch.Tensor) -> torch.Tensor:
        return tensor if mesh is None else distribute_tensor(tensor, mesh, [Shard(0)])

    def whole(tensor: torch.Tensor) -> Any:
        return (tensor if mesh is None else tensor.full_tensor()).detach().float().numpy().copy()

    module = nn.ParameterList([nn.Parameter(spread(matrix)) for matrix in matrices()])
    module.register_buffer("running", torch.zeros(3))
    parameters = list(module.parameters())
    optimizer, average = build(kind, parameters), Average(module, 0.5)
    for step in range(STEPS):
        generator = torch.Generator().manual_seed(step)
        for parameter in parameters:
            gradient = torch.randn(parameter.shape, generator=generator)
            parameter.grad = spread(gradient * torch.nan if step == LEFT_OUT else gradient)
        step_unless(optimizer, torch.tensor(float(step == LEFT_OUT)))
        module.get_buffer("running").fill_(step)
        average.update(module)
        if step == 1:
            saved = optimizer.state_dict()
            optimizer = build(kind, parameters)
            optimizer.load_state_dict(saved)
    before = [whole(parameter) for parameter in parameters]
    with average.applied(module):
        averages = [whole(parameter) for parameter in parameters]
    return {
        "weights": [whole(parameter) for parameter in parameters],
        "before": before,
        "averages": averages,
        "steps": [optimizer.state[parameter]["step"].item() for parameter in parameters],
        "dtypes": [str(optimizer.state[parameter]["exp_avg"].dtype) for parameter in parameters],
    }
