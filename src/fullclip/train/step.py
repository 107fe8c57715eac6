"""One step: a batch in, weights changed, numbers out. No waiting for the device in here."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fullclip import losses
from fullclip.core.distributed import World
from fullclip.core.types import Batch
from fullclip.models.clip import Clip


def has_bfloat16(device: torch.device) -> bool:
    """Whether matrices are multiplied in bfloat16 by the hardware; elsewhere it would be emulated, and slow."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


@dataclass(frozen=True, kw_only=True)
class StepOutcome:
    """Still on the device: reading a value waits for it."""

    loss: Tensor
    gradient_norm: Tensor
    scale: Tensor


def train_step(
    model: Clip, batch: Batch, optimizer: torch.optim.Optimizer, *, world: World, device: torch.device, bfloat16: bool
) -> StepOutcome:
    """Forward, the contrastive loss in float32, backward, AdamW, the clip of the temperature (section 2.5)."""
    optimizer.zero_grad(set_to_none=True)
    images, tokens = batch.images.to(device, non_blocking=True), batch.tokens.to(device, non_blocking=True)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bfloat16):
        features = model(images, tokens)
    loss = losses.softmax(features, world)
    loss.backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    optimizer.step()
    model.clip_scale()
    return StepOutcome(loss=loss.detach(), gradient_norm=norm.detach(), scale=features.scale.detach())
