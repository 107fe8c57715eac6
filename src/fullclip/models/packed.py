"""A Transformer's blocks as oneDNN computes them fastest on a CPU, in half precision: matrices in its own layout, made once in
place of in every product, and the activation within the product before it. Made from blocks; changes nothing of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from fullclip.models.layers import HALF, QUICK_GELU, Block

_LONG = 32  # tokens from which PyTorch's softmax of float32 is faster than that of half precision
_MOST_SCORES = 1 << 25  # of plain attention: 64 MB in half precision, and again for their softmax


@dataclass(frozen=True, kw_only=True)
class _Product:
    """x @ weight.T + bias, then an activation that oneDNN knows."""

    weight: Tensor
    bias: Tensor
    activation: str = "none"
    algorithm: str = ""

    def __call__(self, x: Float[Tensor, "batch tokens inputs"]) -> Float[Tensor, "batch tokens outputs"]:
        found: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, self.activation, [], self.algorithm)
        return found


@dataclass(frozen=True, kw_only=True)
class _Packed:
    """The four matrices of a block."""

    in_proj: _Product
    out_proj: _Product
    c_fc: _Product
    c_proj: _Product


class PackedBlocks:
    """Some blocks' matrices, packed when they are first asked for, and again where a weight has changed since. They take as
    much memory as the weights do once more: together as much as in float32. A copy begins with none.
    """

    def __init__(self) -> None:
        self._marks: tuple[tuple[int, int], ...] = ()
        self._packed: list[_Packed] = []

    def __reduce__(self) -> tuple[type["PackedBlocks"], tuple[()]]:
        return PackedBlocks, ()

    def __call__(self, x: Float[Tensor, "batch tokens dim"], blocks: Sequence[Block]) -> Float[Tensor, "batch tokens dim"]:
        """What the blocks make of x, one after another. `are_packable` says whether it can be asked."""
        marks = tuple(_mark(weight) for block in blocks for weight in block.parameters())
        if marks != self._marks:
            self._packed, self._marks = [_pack(block) for block in blocks], marks
        for block, packed in zip(blocks, self._packed, strict=True):
            mixed = _attended(packed.in_proj(_normed(x, block.ln_1)), block.attn.heads, causal=block.attn.causal)
            x = packed.out_proj(mixed).add_(x)
            x = packed.c_proj(packed.c_fc(_normed(x, block.ln_2))).add_(x)
        return x


def are_packable(x: Tensor, weight: Tensor) -> bool:
    """Whether blocks with such weights can be packed for x: in half precision on a CPU that has it, no gradient asked for."""
    if x.device.type != "cpu" or x.dtype not in HALF or weight.dtype != x.dtype:
        return False
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or not torch.backends.mkldnn.is_available():
        return False
    onednn = torch.ops.mkldnn
    return bool(onednn._is_mkldnn_bf16_supported() if x.dtype == torch.bfloat16 else onednn._is_mkldnn_fp16_supported())


def _mark(weight: Tensor) -> tuple[int, int]:
    """What changes when a weight does."""
    return weight.data_ptr(), 0 if weight.is_inference() else weight._version


def _pack(block: Block) -> _Packed:
    attention, mlp = block.attn, block.mlp
    quick = mlp.activation == "quick_gelu"  # silu(1.702 x) / 1.702: both factors go into the weights
    scale = QUICK_GELU if quick else 1.0
    activation, algorithm = ("swish", "") if quick else ("gelu", "none")
    return _Packed(
        in_proj=_product(attention.in_proj_weight, attention.in_proj_bias),
        out_proj=_product(attention.out_proj.weight, attention.out_proj.bias),
        c_fc=_product(mlp.c_fc.weight * scale, mlp.c_fc.bias * scale, activation, algorithm),
        c_proj=_product(mlp.c_proj.weight / scale, mlp.c_proj.bias),
    )


def _product(weight: Tensor, bias: Tensor, activation: str = "none", algorithm: str = "") -> _Product:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), None)
    return _Product(weight=packed, bias=bias.detach(), activation=activation, algorithm=algorithm)


def _normed(x: Float[Tensor, "batch tokens dim"], norm: nn.LayerNorm) -> Float[Tensor, "batch tokens dim"]:
    """The norm, computed in float32 within one kernel."""
    return F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _attended(stacked: Float[Tensor, "batch tokens dims"], heads: int, *, causal: bool) -> Float[Tensor, "batch tokens dim"]:
    """Scaled dot-product attention as two matrix products and a softmax: twice as fast as PyTorch's fused kernel for CPUs, as
    long as the scores are not too many to keep.
    """
    q, k, v = rearrange(stacked, "batch tokens (qkv heads part) -> qkv batch heads tokens part", qkv=3, heads=heads)
    batch, _, tokens, part = q.shape
    if batch * heads * tokens**2 > _MOST_SCORES:
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    else:
        scores = torch.matmul(q, k.transpose(-1, -2)).mul_(part**-0.5)
        if causal:
            scores += torch.full((tokens, tokens), -torch.inf, dtype=q.dtype).triu(1)
        wide = torch.float32 if tokens >= _LONG else q.dtype
        mixed = torch.matmul(scores.softmax(dim=-1, dtype=wide).to(q.dtype), v)
    return rearrange(mixed, "batch heads tokens part -> batch tokens (heads part)")
