"""The Transformer that both towers are made of. Tensors in, tensors out; initial values are models/clip.py's business."""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fullclip.models.config import Activation, TextConfig, VitConfig

_HALF = (torch.bfloat16, torch.float16)
_MOST_SCORES = 1 << 25  # of plain attention: 64 MB in half precision, and again for their softmax


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
    if kind == "gelu":
        return F.gelu(x)
    return x * torch.sigmoid(1.702 * x)


def _quick_gelu_in_place(x: Float[Tensor, "*axes dim"]) -> Float[Tensor, "*axes dim"]:
    """As silu(1.702 x) / 1.702, with no second tensor of this size: in half precision on a CPU, a fifth of an MLP's time."""
    return F.silu(x.mul_(1.702), inplace=True).mul_(1 / 1.702)


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
        mixed = _attended(q, k, v, causal=self.causal)
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


def _attended(
    q: Float[Tensor, "batch heads tokens part"],
    k: Float[Tensor, "batch heads tokens part"],
    v: Float[Tensor, "batch heads tokens part"],
    *,
    causal: bool,
) -> Float[Tensor, "batch heads tokens part"]:
    """Scaled dot-product attention. In half precision on a CPU, two matrix products and a softmax are twice as fast as
    PyTorch's fused kernel, as long as the scores are not too many to keep; no gradient is meant to flow through them.
    """
    batch, heads, tokens, part = q.shape
    on_cpu = q.dtype in _HALF and q.device.type == "cpu" and not torch.is_grad_enabled()
    if not on_cpu or batch * heads * tokens**2 > _MOST_SCORES:
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    scores = torch.matmul(q, k.transpose(-1, -2)).mul_(part**-0.5)
    if causal:
        scores += torch.full((tokens, tokens), -torch.inf, dtype=q.dtype).triu(1)
    return torch.matmul(scores.softmax(dim=-1), v)


class Mlp(nn.Module):
    def __init__(self, dim: int, hidden: int, *, activation: Activation) -> None:
        super().__init__()
        self.activation = activation
        self.c_fc = nn.Linear(dim, hidden)
        self.c_proj = nn.Linear(hidden, dim)

    def forward(self, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        x = self.c_fc(x)
        spare = x.dtype in _HALF and not torch.is_grad_enabled()  # in float32 to the bit as openai/CLIP computes it
        x = _quick_gelu_in_place(x) if spare and self.activation == "quick_gelu" else activate(x, self.activation)
        return self.c_proj(x)


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

    def summary(self, x: Float[Tensor, "batch tokens dim"], places: Int[Tensor, " batch"]) -> Float[Tensor, "batch dim"]:
        """Of each row the token at its place, after all blocks. Where no gradient is asked for, the last block computes no
        other: of a tower of 12 blocks, a fourteenth is spared.
        """
        if torch.is_grad_enabled() or not len(self.resblocks):
            return at(self(x), places)[:, 0]
        for block in self.resblocks[:-1]:
            x = block(x)
        return self.resblocks[-1](x, places)[:, 0]


def build_transformer(config: VitConfig | TextConfig, *, causal: bool) -> Transformer:
    dim = config.width
    return Transformer(
        [
            Block(Attention(dim, config.heads, causal=causal), Mlp(dim, config.mlp_width, activation=config.activation), dim)
            for _ in range(config.layers)
        ]
    )
