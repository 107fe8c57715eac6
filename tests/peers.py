"""openai/CLIP's own code, as the package clip-anytorch carries it, for comparison. Tests skip where it is not installed."""

import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import jaxtyping
import pytest
import torch
from torch import nn


@lru_cache
def openai_module(name: str) -> ModuleType:
    """One of its files, "simple_tokenizer" or "model", alone: its `__init__` would import torchvision."""
    package = importlib.util.find_spec("clip")
    folder = Path(package.submodule_search_locations[0]) if package and package.submodule_search_locations else Path()
    if not (folder / f"{name}.py").is_file():
        pytest.skip("openai/CLIP's code is not installed: pip install --no-deps clip-anytorch")
    if name == "simple_tokenizer":
        pytest.importorskip("regex")
    spec = importlib.util.spec_from_file_location(f"openai_clip_{name}", folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@lru_cache
def openai_tokenizer():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its vocabulary's file open
        return openai_module("simple_tokenizer").SimpleTokenizer()


def openai_ids(text: str, *, context_length: int) -> list[int]:
    """One row as openai/CLIP's `tokenize` makes it with truncate=True (its clip.py, which cannot be imported alone)."""
    tokenizer = openai_tokenizer()
    start, end = tokenizer.encoder["<|startoftext|>"], tokenizer.encoder["<|endoftext|>"]
    row = [start, *tokenizer.encode(text), end]
    if len(row) > context_length:
        row = [*row[: context_length - 1], end]
    return row + [0] * (context_length - len(row))


@contextmanager
def unchecked() -> Iterator[None]:
    """The package as its users have it: arguments of a wrong type reach our own checks, not jaxtyping's."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


# Small shapes for openai/CLIP's class; it gives every head 64 of the width.
OPENAI_SHAPES = {
    "vit": {"image_resolution": 32, "vision_layers": 2, "vision_width": 128, "vision_patch_size": 8},
    "resnet": {"image_resolution": 64, "vision_layers": (1, 2, 1, 1), "vision_width": 8, "vision_patch_size": None},
}
OPENAI_TEXT = {"context_length": 16, "vocab_size": 99, "transformer_width": 64, "transformer_heads": 1, "transformer_layers": 2}


def openai_model(kind: str, *, seed: int = 0) -> nn.Module:
    """openai/CLIP's class with random weights, none of which is left at zero or one."""
    torch.manual_seed(seed)
    return perturbed(openai_module("model").CLIP(embed_dim=48, **OPENAI_SHAPES[kind], **OPENAI_TEXT), seed=seed)


def perturbed(model: nn.Module, *, seed: int) -> nn.Module:
    """Noise on every weight and running statistic, so that no bias or norm can be mixed up unseen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
            elif tensor.is_floating_point():
                tensor.add_(0.1 * torch.randn(tensor.shape, generator=generator))
    return model.eval()


def pictures(n: int, side: int, *, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(seed))


def texts(n: int, *, context_length: int, vocab_size: int, seed: int = 0) -> torch.Tensor:
    """Random texts of random lengths: no ids after the end, which is the last id of the vocabulary."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, vocab_size - 1, (n, context_length), generator=generator)
    ends, positions = torch.randint(1, context_length, (n, 1), generator=generator), torch.arange(context_length)
    return torch.where(positions < ends, tokens, torch.where(positions == ends, vocab_size - 1, 0))
