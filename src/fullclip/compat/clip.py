"""openai/CLIP's own API: `from fullclip.compat import clip` in place of `import clip`, and the rest runs unchanged."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn

from fullclip.inference import load as load_encoder
from fullclip.models.clip import Clip
from fullclip.models.hub import locate
from fullclip.preprocess.tokenizer import Tokenizer

__all__ = ["available_models", "load", "tokenize"]

_NAMES = {
    "RN50": "openai/RN50",
    "RN101": "openai/RN101",
    "RN50x4": "openai/RN50x4",
    "RN50x16": "openai/RN50x16",
    "RN50x64": "openai/RN50x64",
    "ViT-B/32": "openai/ViT-B-32",
    "ViT-B/16": "openai/ViT-B-16",
    "ViT-L/14": "openai/ViT-L-14",
    "ViT-L/14@336px": "openai/ViT-L-14-336",
}


class _Vision(nn.Module):
    """The image tower with the attribute that openai/CLIP's code reads."""

    def __init__(self, tower: nn.Module, input_resolution: int) -> None:
        super().__init__()
        self.tower, self.input_resolution = tower, input_resolution

    def forward(self, image: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch embed"]:
        return self.tower(image)


class CLIP(nn.Module):
    """A model with openai/CLIP's methods: features are not normalised, `forward` gives the logits both ways."""

    def __init__(self, model: Clip, *, input_resolution: int) -> None:
        super().__init__()
        self.visual = _Vision(model.visual, input_resolution)
        self.text = model.text
        self.logit_scale = model.logit_scale
        self.context_length = model.text.context_length
        self.vocab_size = model.text.token_embedding.num_embeddings

    @property
    def dtype(self) -> torch.dtype:
        return self.text.dtype

    def encode_image(self, image: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch embed"]:
        return self.visual(image)

    def encode_text(self, text: Int[Tensor, "texts context"]) -> Float[Tensor, "texts embed"]:
        return self.text(text)

    def forward(
        self, image: Float[Tensor, "batch 3 height width"], text: Int[Tensor, "texts context"]
    ) -> tuple[Float[Tensor, "batch texts"], Float[Tensor, "texts batch"]]:
        image_features, text_features = self.encode_image(image), self.encode_text(text)
        image_features = image_features / image_features.norm(dim=1, keepdim=True)
        text_features = text_features / text_features.norm(dim=1, keepdim=True)
        logits_per_image = self.logit_scale.exp() * image_features @ text_features.t()
        return logits_per_image, logits_per_image.t()


def available_models() -> list[str]:
    """The names of OpenAI's nine models, as `load` takes them."""
    return list(_NAMES)


def load(
    name: str, device: str | torch.device | None = None, jit: bool = False, download_root: str | None = None
) -> tuple[CLIP, Callable[[Image.Image], Float[Tensor, "3 size size"]]]:
    """(model in evaluation mode, preprocess) for one of `available_models()`, any name of fullclip's, or a path.

    As in openai/CLIP the matrices are half precision on a GPU and float32 elsewhere; without `device`, the GPU is taken
    where there is one. `jit` is refused: no code of an archive is ever run. `download_root` is where OpenAI's files are kept.
    """
    if jit:
        raise ValueError("jit=True would run the code inside a TorchScript archive; leave it out: the features are the same")
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    precision = "float16" if device.type == "cuda" else "float32"
    path, _ = locate(_NAMES.get(name, name), archives=Path(download_root) if download_root else None)
    encoder = load_encoder(path, precision=precision, device=str(device))
    return CLIP(encoder.clip, input_resolution=encoder.preprocess.size).eval(), encoder.transform


def tokenize(texts: str | list[str], context_length: int = 77, truncate: bool = False) -> Int[Tensor, "batch context_length"]:
    """Token ids, int32 [texts, context_length]; RuntimeError for a text that is too long, unless `truncate`."""
    try:
        return _tokenizer(context_length).encode(texts, truncate=truncate).ids.int()
    except ValueError as error:
        raise RuntimeError(str(error)) from None


@lru_cache(maxsize=8)
def _tokenizer(context_length: int) -> Tokenizer:
    """Kept between calls, with the words that it has learned."""
    return Tokenizer.clip(context_length=context_length)
