"""The Transformer that both towers are made of: blocks one after another. Tensors in, tensors out."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fullclip.models.config import TextConfig, VitConfig
from fullclip.models.layers import Attention, Block, Mlp, at
from fullclip.models.packed import PackedBlocks, are_packable


class Transformer(nn.Module):
    """A stack of blocks. `checkpointing`: in training, keep only the blocks' inputs and compute the rest again."""

    def __init__(self, blocks: list[Block]) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(blocks)
        self.checkpointing = False
        self._packed = PackedBlocks()

    def forward(self, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        for block in self.resblocks:
            again = self.checkpointing and torch.is_grad_enabled()
            x = checkpoint(block, x, use_reentrant=False) if again else block(x)
        return x

    def summary(self, x: Float[Tensor, "batch tokens dim"], places: Int[Tensor, " batch"]) -> Float[Tensor, "batch dim"]:
        """Of each row the token at its place, after all blocks. In evaluation without gradients, the last block computes no
        other: of a tower of 12 blocks, a fourteenth is spared. On a CPU in half precision, the others are packed. In training
        mode nothing is spared: a pass without gradients that goes before one with them sees the same bits.
        """
        if self.training or torch.is_grad_enabled() or not len(self.resblocks):
            return at(self(x), places)[:, 0]
        *others, last = self.resblocks
        if others and are_packable(x, others[0].mlp.c_fc.weight):
            x = self._packed(x, others)
        else:
            for block in others:
                x = block(x)
        return last(x, places)[:, 0]


def build_transformer(config: VitConfig | TextConfig, *, causal: bool) -> Transformer:
    dim = config.width
    return Transformer(
        [
            Block(Attention(dim, config.heads, causal=causal), Mlp(dim, config.mlp_width, activation=config.activation), dim)
            for _ in range(config.layers)
        ]
    )
