"""The Transformer that both towers are made of. Tensors in, tensors out; initial values are models/clip.py's business."""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fullclip.models.config import Activation, TextConfig, VitConfig


class LayerNorm(nn.LayerNorm):
    """Layer normalisation computed in float32 (or wider), whatever comes in, and given back as it came (openai/CLIP)."""

    def forward(self, x: Float[Tensor, "*axes dim"]) -> Float[Tensor, "*axes dim"]:
        wide = at_least_float32(x)
        weight, bias = self.weight.to(wide.dtype), self.bias.to(wide.dtype)
        return F.layer_norm(wide, self.normalized_shape, weight, bias, self.eps).to(x.dtype)


def at_least_float32(x: Float[Tensor, "*axes dim"]) -> Float[Tensor, "*axes dim"]:
    """Half precision widened; float32 and float64 as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def activate(x: Float[Tensor, "*axes dim"], kind: Activation) -> Float[Tensor, "*axes dim"]:
    """GELU, exactly or as openai/CLIP approximates it, x * sigmoid(1.702 x); the checkpoint says which."""
    return x * torch.sigmoid(1.702 * x) if kind == "quick_gelu" else F.gelu(x)


class Attention(nn.Module):
    """Multi-head self-attention with one stacked input projection (q, k, v), as the weights of CLIP are stored."""

    def __init__(self, dim: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"a width of {dim} cannot be split into {heads} attention heads")
        self.heads, self.causal = heads, causal
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * dim))
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        stacked = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = rearrange(stacked, "batch tokens (qkv heads part) -> qkv batch heads tokens part", qkv=3, heads=self.heads)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out_proj(rearrange(mixed, "batch heads tokens part -> batch tokens (heads part)"))


class Mlp(nn.Module):
    def __init__(self, dim: int, hidden: int, *, activation: Activation) -> None:
        super().__init__()
        self.activation = activation
        self.c_fc = nn.Linear(dim, hidden)
        self.c_proj = nn.Linear(hidden, dim)

    def forward(self, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        return self.c_proj(activate(self.c_fc(x), self.activation))


class Block(nn.Module):
    """Pre-norm residual block: x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, attention: Attention, mlp: Mlp, dim: int) -> None:
        super().__init__()
        self.ln_1, self.attn = LayerNorm(dim), attention
        self.ln_2, self.mlp = LayerNorm(dim), mlp

    def forward(self, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    """A stack of blocks. `checkpointing`: in training, keep only the blocks' inputs and compute the rest again."""

    def __init__(self, blocks: list[Block]) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(blocks)
        self.checkpointing = False

    def forward(self, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        for block in self.resblocks:
            again = self.checkpointing and torch.is_grad_enabled()
            x = checkpoint(block, x, use_reentrant=False) if again else block(x)
        return x


def build_transformer(config: VitConfig | TextConfig, *, causal: bool) -> Transformer:
    dim = config.width
    return Transformer(
        [
            Block(Attention(dim, config.heads, causal=causal), Mlp(dim, config.mlp_width, activation=config.activation), dim)
            for _ in range(config.layers)
        ]
    )
