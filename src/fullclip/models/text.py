"""The text Transformer of CLIP: token ids [batch, context] -> features [batch, embed], not yet normalised."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fullclip.models.config import TextConfig
from fullclip.models.layers import LayerNorm
from fullclip.models.transformer import Transformer, build_transformer

_TOGETHER = 128  # rows of like length


class TextTransformer(nn.Module):
    """Tokens + positions, causal blocks, a norm; the features at the first end-of-text token are projected.

    Being causal, positions after that token change nothing; shorter rows than the context are fine. Rows that lie on the CPU
    are cut behind the last end before anything is computed, and where there are many, short and long ones are computed apart.
    """

    def __init__(self, transformer: Transformer, *, config: TextConfig, embed: int) -> None:
        super().__init__()
        self.context_length, self.end_id = config.context_length, config.end_id
        table = torch.empty(config.vocab_size, config.width)  # as all weights, set later; a draw on "meta" imports a compiler
        self.token_embedding = nn.Embedding.from_pretrained(table, freeze=False)
        self.positional_embedding = nn.Parameter(torch.empty(config.context_length, config.width))
        self.transformer = transformer
        self.ln_final = LayerNorm(config.width)
        self.text_projection = nn.Parameter(torch.empty(config.width, embed))

    @property
    def dtype(self) -> torch.dtype:
        """What the matrices compute in; embeddings stay float32 in a half-precision model, as in openai/CLIP."""
        return self.text_projection.dtype

    def blocks(self) -> list[nn.Module]:
        """What repeats, in order."""
        return [*self.transformer.resblocks]

    def depths(self) -> list[nn.Module]:
        """What lies above each other, the lowest first: the blocks."""
        return self.blocks()

    def top(self) -> list[nn.Parameter]:
        """The weights of what follows the last of `depths`."""
        return [*self.ln_final.parameters(), self.text_projection]

    def forward(self, tokens: Int[Tensor, "batch context"]) -> Float[Tensor, "batch embed"]:
        if tokens.shape[1] > self.context_length:
            raise ValueError(f"texts of {tokens.shape[1]} tokens: this model's context holds {self.context_length}")
        if tokens.device.type != "cpu" or torch.compiler.is_compiling():  # the length would be waited for
            return self._summaries(tokens)
        if len(tokens) <= _TOGETHER:
            return self._summaries(trim_padding(tokens, self.end_id))
        parts = rows_of_like_length(tokens, self.end_id)
        summaries = torch.cat([self._summaries(trim_padding(tokens[rows], self.end_id)) for rows in parts])
        return summaries[torch.cat(parts).argsort()]

    def _summaries(self, tokens: Int[Tensor, "batch context"]) -> Float[Tensor, "batch embed"]:
        return self.summaries_at(tokens, end_positions(tokens, self.end_id))

    def summaries_at(self, tokens: Int[Tensor, "batch context"], ends: Int[Tensor, " batch"]) -> Float[Tensor, "batch embed"]:
        """The features of rows whose ends are known (`end_positions`), all of their tokens computed."""
        x = self.token_embedding(tokens).to(self.dtype) + self.positional_embedding[: tokens.shape[1]].to(self.dtype)
        return self.ln_final(self.transformer.summary(x, ends)) @ self.text_projection


def end_positions(tokens: Int[Tensor, "batch context"], end_id: int) -> Int[Tensor, " batch"]:
    """Where each text's first end-of-text token is; ValueError (on a GPU: an assertion, not to wait) where one has none.

    Not argmax over ids: PyTorch does not promise the first of equal maxima, and padding may be the same id.
    """
    has_end = (tokens == end_id).any(dim=1)
    if tokens.device.type == "cpu":
        if not bool(has_end.all()):
            row = int((~has_end).int().argmax())
            raise ValueError(f"text {row} has no end-of-text token ({end_id}); make tokens with the model's tokenizer")
    else:
        torch._assert_async(has_end.all())
    return first_ends(tokens, end_id)


def first_ends(tokens: Int[Tensor, "batch context"], end_id: int) -> Int[Tensor, " batch"]:
    """The same where every row is known to have one."""
    positions = torch.arange(tokens.shape[1], device=tokens.device)
    return torch.where(tokens == end_id, positions, tokens.shape[1]).amin(dim=1)


def rows_of_like_length(
    tokens: Int[Tensor, "batch context"], end_id: int, *, at_most: int = _TOGETHER
) -> tuple[Int[Tensor, " part"], ...]:
    """The numbers of all rows, the shortest first, in parts of `at_most`; by default those that the tower computes apart on a
    CPU. ValueError as above.
    """
    return end_positions(tokens, end_id).argsort(stable=True).split(at_most)


def trim_padding(
    tokens: Int[Tensor, "batch context"], end_id: int, *, multiple: int = 1
) -> Int[Tensor, "batch shorter_context"]:
    """The rows up to the last of their first end-of-text tokens: what comes behind it changes no feature and no gradient.

    The length is rounded up to a `multiple`, as far as the context goes, for compiled models, which are compiled again for
    each length. For tokens on the CPU; a view of them. ValueError where a text has no end or `multiple` is below 1.
    """
    if multiple < 1:
        raise ValueError(f"multiple is {multiple}: at least 1")
    assert tokens.device.type == "cpu", "to cut tokens on a device, it would have to be waited for"
    if not len(tokens):
        return tokens
    longest = int(end_positions(tokens, end_id).max()) + 1
    return tokens[:, : -(-longest // multiple) * multiple]


def build_text(config: TextConfig, *, embed: int) -> TextTransformer:
    if not 0 <= config.end_id < config.vocab_size:
        raise ValueError(f"end_id {config.end_id} is outside the vocabulary of {config.vocab_size}")
    transformer = build_transformer(config, causal=True)
    return TextTransformer(transformer, config=config, embed=embed)
