"""A network -> a name for its numbers: what was computed with it is used again only where the name is the same."""

import hashlib
import json
from typing import Any

import torch
from torch import Tensor, nn

from fullclip.core.config import to_dict
from fullclip.preprocess.image import PreprocessConfig


def fingerprint(network: nn.Module, preprocess: PreprocessConfig) -> str:
    """The SHA-256 of a network's weights, with names and types, of its modules with their plain settings (activation, stride,
    number of heads), which no weight tells, and of the preprocessing. The device makes no difference.
    """
    digest = hashlib.sha256(json.dumps(to_dict(preprocess), sort_keys=True).encode())
    for name, module in network.named_modules():
        settings = [(key, value) for key, value in sorted(vars(module).items()) if key != "training" and _is_plain(value)]
        digest.update(f"{name} {type(module).__name__} {settings}".encode())
    for name, tensor in sorted(network.state_dict().items()):
        if not isinstance(tensor, Tensor):  # what get_extra_state() gives
            continue
        whole = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {whole.dtype} {list(whole.shape)}".encode())
        digest.update(whole.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_plain(each) for each in value)
    return value is None or isinstance(value, bool | int | float | str)
