"""What a Transformer is made of. Tensors in, tensors out; initial values are models/clip.py's business."""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from fullclip.models.config import Activation

QUICK_GELU = 1.702
HALF = (torch.bfloat16, torch.float16)


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
    return x * torch.sigmoid(QUICK_GELU * x) if kind == "quick_gelu" else F.gelu(x)


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

    def forward(
        self, x: Float[Tensor, "batch tokens dim"], places: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch tokens_or_1 dim"]:
        """With `places`, what each row's one token there is told."""
        if places is not None:
            return self._at(x, places)
        stacked = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = rearrange(stacked, "batch tokens (qkv heads part) -> qkv batch heads tokens part", qkv=3, heads=self.heads)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out_proj(rearrange(mixed, "batch heads tokens part -> batch tokens (heads part)"))

    def _at(self, x: Float[Tensor, "batch tokens dim"], places: Int[Tensor, " batch"]) -> Float[Tensor, "batch 1 dim"]:
        dim = x.shape[2]
        weights, biases = self.in_proj_weight.split([dim, 2 * dim]), self.in_proj_bias.split([dim, 2 * dim])
        q = rearrange(
            F.linear(at(x, places), weights[0], biases[0]), "batch 1 (heads part) -> batch heads 1 part", heads=self.heads
        )
        stacked = F.linear(x, weights[1], biases[1])
        k, v = rearrange(stacked, "batch tokens (kv heads part) -> kv batch heads tokens part", kv=2, heads=self.heads)
        seen = torch.arange(x.shape[1], device=x.device) <= places[:, None] if self.causal else None
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=None if seen is None else seen[:, None, None])
        return self.out_proj(rearrange(mixed, "batch heads 1 part -> batch 1 (heads part)"))


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

    def forward(
        self, x: Float[Tensor, "batch tokens dim"], places: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch tokens_or_1 dim"]:
        """With `places`, of each row only the token there, which all others speak to: their queries and MLPs are spared."""
        x = (x if places is None else at(x, places)) + self.attn(self.ln_1(x), places)
        return x + self.mlp(self.ln_2(x))


def at(x: Float[Tensor, "batch tokens dim"], places: Int[Tensor, " batch"]) -> Float[Tensor, "batch 1 dim"]:
    """One token of each row."""
    return x[torch.arange(x.shape[0], device=x.device), places][:, None]
