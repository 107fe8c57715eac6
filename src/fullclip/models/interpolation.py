"""Two checkpoints of one architecture in, one between them out."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from fullclip.core.config import to_dict
from fullclip.models.checkpoint import Checkpoint, Provenance

# Settings in which two checkpoints of one architecture may differ: a value before training (whether there is a bias, the
# weights say), a way of training, and how palette images are converted. Those of `a` are kept.
_HARMLESS = ("model.logit_bias", "model.vision.patch_dropout", "preprocess.rgb_first")


def interpolate(a: Checkpoint, b: Checkpoint, alpha: float) -> Checkpoint:
    """(1 - alpha) a + alpha b, weight by weight: WiSE-FT (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models") with
    a pre-trained `a` and what was fine-tuned from it as `b`, which keeps much of the robustness that fine-tuning costs.

    Computed in float32 or wider and given back in the wider of the two precisions; at 0 and 1 it is `a` or `b` to the bit. The
    temperature is interpolated in its log, as it is stored; counters are those of `b`. ValueError for an `alpha` outside of
    0 to 1, and for checkpoints of different architecture or preprocessing: it names the first difference.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}: from 0 (the first model) to 1 (the second)")
    difference = next(_differences(a, b), None)
    if difference:
        raise ValueError(f"only models of one architecture and preprocessing can be interpolated: {difference}")
    return replace(
        a,
        state={name: _mixed(a.state[name], b.state[name], alpha) for name in b.state if name in a.state},
        provenance=_provenance(a.provenance, b.provenance, alpha),
    )


def _mixed(a: Tensor, b: Tensor, alpha: float) -> Tensor:
    if not b.is_floating_point():
        return b
    stored = torch.promote_types(a.dtype, b.dtype)
    if alpha in (0, 1):  # else 0 x infinity would be no number
        return (b if alpha else a).to(stored)
    wide = torch.promote_types(stored, torch.float32)
    return ((1 - alpha) * a.to(wide) + alpha * b.to(wide)).to(stored)


def _differences(a: Checkpoint, b: Checkpoint) -> Iterator[str]:
    """What keeps the two from being mixed, in words."""
    left, right = dict(_settings(a)), dict(_settings(b))
    for name in [*left, *(name for name in right if name not in left)]:
        one, other = left.get(name, "not there"), right.get(name, "not there")
        if one != other and name not in _HARMLESS:
            yield f"{name} is {one} in the first, {other} in the second"
    for name in [*a.state, *(name for name in b.state if name not in a.state)]:
        if name.endswith("num_batches_tracked"):  # older files leave it out, and nothing reads it
            continue
        if name not in a.state or name not in b.state:
            yield f"the {'second' if name in a.state else 'first'} has no {name}"
        elif a.state[name].shape != b.state[name].shape:
            yield f"{name} is {list(a.state[name].shape)} in the first, {list(b.state[name].shape)} in the second"


def _settings(checkpoint: Checkpoint) -> Iterator[tuple[str, Any]]:
    """Every setting of a checkpoint, with its path."""
    yield from _flat("model", to_dict(checkpoint.config))
    yield from _flat("preprocess", to_dict(checkpoint.preprocess))


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        yield path, value
        return
    for name, inner in value.items():
        yield from _flat(f"{path}.{name}", inner)


def _provenance(a: Provenance, b: Provenance, alpha: float) -> Provenance:
    """What was mixed, and how. What both say alike is said once."""

    def both(left: str, right: str) -> str:
        return left if left == right else "; ".join(filter(None, [left, right]))

    def named(one: Provenance) -> str:
        return (one.source or "a model of unknown source") + (f" (sha256 {one.sha256})" if one.sha256 else "")

    return Provenance(
        source="fullclip models interpolate",
        licence=both(a.licence, b.licence),
        training_data=both(a.training_data, b.training_data),
        note="; ".join(filter(None, [f"{1 - alpha:.6g} x {named(a)} + {alpha:.6g} x {named(b)}", both(a.note, b.note)])),
    )
