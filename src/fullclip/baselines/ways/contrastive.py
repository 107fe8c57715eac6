"""Learning which text belongs to which picture of a batch (CLIP paper, section 2.3), with one of two text encoders."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from fullclip.baselines.learning.settings import Settings
from fullclip.baselines.learning.vocabulary import Pieces
from fullclip.baselines.learning.way import Answering, ImageTower, Scorer
from fullclip.core.distributed import World
from fullclip.core.types import Features
from fullclip.losses import softmax
from fullclip.models.clip import INITIAL_TEMPERATURE, MAX_SCALE, build, initialize
from fullclip.models.config import ClipConfig, VitConfig
from fullclip.models.layers import at_least_float32
from fullclip.models.text import TextTransformer
from fullclip.zeroshot.prompts import fill

_TEXTS_AT_ONCE = 256


class BagEncoder(nn.Module):
    """The mean of the embeddings of a text's pieces, projected: their order is lost. Start, end and padding do not count."""

    def __init__(self, num_pieces: int, *, width: int, embed: int, generator: torch.Generator) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(num_pieces, width)
        self.text_projection = nn.Parameter(torch.empty(width, embed))
        nn.init.normal_(self.token_embedding.weight, std=0.02, generator=generator)
        nn.init.normal_(self.text_projection, std=width**-0.5, generator=generator)

    def forward(self, tokens: Int[Tensor, "batch context"]) -> Float[Tensor, "batch embed"]:
        counts = ((tokens != 0) & (tokens != Pieces.START) & (tokens != Pieces.END)).to(self.text_projection.dtype)
        sums: Tensor = (self.token_embedding(tokens) * counts[..., None]).sum(dim=1)
        return sums / counts.sum(dim=1, keepdim=True).clamp(min=1) @ self.text_projection


def text_transformer(settings: Settings, pieces: Pieces, *, seed: int) -> TextTransformer:
    """CLIP's text encoder over these pieces, with its first weights."""
    shape = settings.text.config(pieces.size, end_id=Pieces.END)
    least = VitConfig(image_size=1, patch_size=1, width=1, layers=1, heads=1, mlp_width=1)
    model = build(ClipConfig(embed=settings.embed, vision=least, text=shape))
    initialize(model, torch.Generator().manual_seed(seed))
    return model.text


class Contrastive(Answering):
    """`encoder` makes features of tokens, as wide as the image tower's. A class's weights are the mean of its sentences'
    embeddings, normalised again (section 3.1.4).
    """

    is_likelihood = False

    def __init__(self, tower: ImageTower, encoder: TextTransformer | BagEncoder, pieces: Pieces) -> None:
        super().__init__(tower)
        self.encoder, self.pieces = encoder, pieces
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / INITIAL_TEMPERATURE)))

    def loss(self, images: Float[Tensor, "batch 3 height width"], texts: Sequence[str]) -> Float[Tensor, ""]:
        features = Features(image=self._image(images), text=self._text(texts), scale=self.logit_scale.exp())
        with torch.autocast(images.device.type, enabled=False):
            return softmax(features, World.single())

    @torch.no_grad()
    def after_step(self) -> None:
        """The scale stays within 1 to 100 (section 2.5)."""
        self.logit_scale.clamp_(0.0, math.log(MAX_SCALE))

    @torch.no_grad()
    def scorer(self, classes: Sequence[Sequence[str]], templates: Sequence[str]) -> Scorer:
        weights = torch.stack([self._class([text for name in names for text in fill(name, templates)]) for names in classes])
        return lambda images: self._image(images) @ weights.T

    def num_unknown(self, classes: Sequence[Sequence[str]]) -> int:
        return sum(not any(map(self.pieces.knows, names)) for names in classes)

    def _class(self, sentences: Sequence[str]) -> Float[Tensor, " embed"]:
        starts = range(0, len(sentences), _TEXTS_AT_ONCE)
        rows = torch.cat([self._text(sentences[start : start + _TEXTS_AT_ONCE]) for start in starts])
        return F.normalize(rows.mean(dim=0), dim=0)

    def _image(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch embed"]:
        return F.normalize(at_least_float32(self.tower(images)), dim=-1)

    def _text(self, texts: Sequence[str]) -> Float[Tensor, "texts embed"]:
        tokens = self.pieces(texts).to(self.logit_scale.device)
        return F.normalize(at_least_float32(self.encoder(tokens)), dim=-1)
