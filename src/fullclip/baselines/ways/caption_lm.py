"""Learning to write a picture's text, piece by piece: an image tower and a causal Transformer, trained jointly from scratch, as
VirTex does (Desai and Johnson 2020; CLIP paper, section 2.3 and Figure 2).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fullclip.baselines.learning.vocabulary import Pieces
from fullclip.baselines.learning.way import Answering, ImageTower, Scorer, log_mean
from fullclip.baselines.ways.sentences import Tree, tree_of
from fullclip.models.layers import Block, at_least_float32
from fullclip.models.text import TextTransformer
from fullclip.zeroshot.prompts import fill

PREFIX = 4
_SCORES_AT_ONCE = 1 << 22  # 16 MB of float32; more at once do not fit a processor's cache and take longer


class CaptionModel(Answering):
    """What the image tower gives becomes four tokens, which stand before the text and which every piece of it sees; a piece's
    score is the product of its embedding with the state before it. VirTex lets texts attend to places of the picture; here
    the image tower is the one of all ways, which gives one vector.

    A sentence's score is the logarithm of its probability, from its first piece to its end; a class's that of the mean of its
    sentences' probabilities. `decoder` gives its embeddings and blocks; its projection is not needed.
    """

    is_likelihood = True

    def __init__(self, tower: ImageTower, decoder: TextTransformer, pieces: Pieces, *, generator: torch.Generator) -> None:
        super().__init__(tower)
        embed, width = decoder.text_projection.shape[1], decoder.text_projection.shape[0]
        self.pieces = pieces
        self.prefix = nn.Linear(embed, PREFIX * width)
        self.token_embedding, self.positional_embedding = decoder.token_embedding, decoder.positional_embedding
        self.transformer, self.ln_final = decoder.transformer, decoder.ln_final
        nn.init.normal_(self.prefix.weight, std=embed**-0.5, generator=generator)
        nn.init.zeros_(self.prefix.bias)

    def loss(self, images: Float[Tensor, "batch 3 height width"], texts: Sequence[str]) -> Float[Tensor, ""]:
        """The mean negative log-probability of a piece, the end of a text among them."""
        tokens = self.pieces(texts).to(images.device)
        logits = self.logits(images, tokens[:, :-1])
        goals = tokens[:, 1:]
        return F.cross_entropy(at_least_float32(logits.flatten(0, 1)), goals.flatten(), ignore_index=0)

    def logits(
        self, images: Float[Tensor, "batch 3 height width"], tokens: Int[Tensor, "batch context"]
    ) -> Float[Tensor, "batch context pieces"]:
        """What follows each token of a text."""
        x = self._embedded(tokens, torch.arange(tokens.shape[1], device=tokens.device))
        states = self.transformer(torch.cat([self._prefix(images), x], dim=1))[:, PREFIX:]
        logits: Tensor = self.ln_final(states) @ self.token_embedding.weight.T
        return logits

    @torch.no_grad()
    def scorer(self, classes: Sequence[Sequence[str]], templates: Sequence[str]) -> Scorer:
        groups = [[text for name in names for text in fill(name, templates)] for names in classes]
        tree = tree_of([self.pieces.row(text) for group in groups for text in group])
        sizes = [len(group) for group in groups]

        def scores(images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch classes"]:
            together = max(1, _SCORES_AT_ONCE // (len(tree.pieces) * self.pieces.size))
            found = torch.cat([self.log_likelihoods(part, tree) for part in torch.split(images, together)])
            return log_mean(found, sizes)

        return scores

    def log_likelihoods(self, images: Float[Tensor, "batch 3 height width"], tree: Tree) -> Float[Tensor, "batch sentences"]:
        """Of each sentence of the tree, for each picture."""
        device = images.device
        nodes = self._embedded(tree.pieces.to(device)[None].expand(len(images), -1), tree.depths.to(device))
        x = torch.cat([self._prefix(images), nodes], dim=1)
        sees = _behind_a_prefix(tree.sees).to(device)
        for block in self.transformer.resblocks:
            assert isinstance(block, Block)
            x = _masked(block, x, sees)
        logits: Tensor = at_least_float32(self.ln_final(x[:, PREFIX:]) @ self.token_embedding.weight.T)
        edges = logits[:, tree.edge_nodes, tree.edge_pieces] - logits.logsumexp(dim=2)[:, tree.edge_nodes]
        return edges @ tree.belongs.to(edges)

    def num_unknown(self, classes: Sequence[Sequence[str]]) -> int:
        return sum(not any(map(self.pieces.knows, names)) for names in classes)

    def _prefix(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch prefix dim"]:
        prefix: Tensor = self.prefix(self.tower(images))
        return rearrange(prefix, "batch (prefix dim) -> batch prefix dim", prefix=PREFIX)

    def _embedded(
        self, tokens: Int[Tensor, "batch tokens"], positions: Int[Tensor, " tokens"]
    ) -> Float[Tensor, "batch tokens dim"]:
        embedded: Tensor = self.token_embedding(tokens) + self.positional_embedding[positions]
        return embedded


def _behind_a_prefix(sees: Bool[Tensor, "nodes nodes"]) -> Bool[Tensor, "tokens tokens"]:
    """The same with the tokens of the picture before, each of which sees those before it, and all nodes see all of them."""
    nodes = len(sees)
    whole = torch.ones(PREFIX + nodes, PREFIX + nodes, dtype=torch.bool).tril()
    whole[PREFIX:, PREFIX:] = sees
    return whole


def _masked(block: Block, x: Float[Tensor, "batch tokens dim"], sees: Bool[Tensor, "tokens tokens"]) -> Tensor:
    """A block of a Transformer whose tokens see what they are said to see."""
    attention = block.attn
    stacked = F.linear(block.ln_1(x), attention.in_proj_weight, attention.in_proj_bias)
    q, k, v = rearrange(stacked, "batch tokens (qkv heads part) -> qkv batch heads tokens part", qkv=3, heads=attention.heads)
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=sees)
    x = x + attention.out_proj(rearrange(mixed, "batch heads tokens part -> batch tokens (heads part)"))
    after: Tensor = x + block.mlp(block.ln_2(x))
    return after
