"""Both towers and the temperature. `build(config)` gives the module with undefined weights, `initialize` sets them all."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from fullclip.core.types import Features
from fullclip.models.config import ClipConfig, EfficientNetConfig, FeaturesConfig, ResNetConfig, VitConfig
from fullclip.models.efficientnet import EfficientNet, build_efficientnet
from fullclip.models.features import Precomputed, build_features
from fullclip.models.layers import Attention, at_least_float32
from fullclip.models.resnet import ModifiedResNet, build_resnet
from fullclip.models.text import TextTransformer, build_text
from fullclip.models.transformer import Transformer
from fullclip.models.vit import VisionTransformer, build_vit

ImageTower = VisionTransformer | ModifiedResNet | EfficientNet | Precomputed

INITIAL_TEMPERATURE = 0.07
MAX_SCALE = 100.0
_CHANNELS = 3  # of a picture


class Clip(nn.Module):
    """Images and texts into one space (CLIP paper, section 2.3 and Figure 3). `logit_scale` is the log of the scale."""

    def __init__(self, visual: ImageTower, text: TextTransformer, *, logit_bias: float | None = None) -> None:
        super().__init__()
        self.visual, self.text = visual, text
        self.logit_scale = nn.Parameter(torch.empty(()))
        self.register_parameter("logit_bias", None if logit_bias is None else nn.Parameter(torch.tensor(logit_bias)))

    def encode_image(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch embed"]:
        """Features before normalisation, as openai/CLIP gives them. ValueError for features where pictures are looked at."""
        if images.shape[1] != _CHANNELS and not isinstance(self.visual, Precomputed):
            raise ValueError(f"images of {images.shape[1]} channels: this model looks at pictures, not at features")
        return self.visual(images)

    def image_features(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch dim"]:
        """What a linear probe is fitted on (appendix A.3): the class token of a ViT before its projection, the mean over all
        places of an EfficientNet, or what a ResNet's attention pools, which is its embedding.
        """
        return self.visual(images) if isinstance(self.visual, ModifiedResNet) else self.visual.before_projection(images)

    @property
    def embed(self) -> int:
        """The width of the shared space."""
        return self.text.text_projection.shape[1]

    @property
    def end_id(self) -> int:
        """The token that ends a text."""
        return self.text.end_id

    @property
    def image_width(self) -> int:
        """The width of `image_features`."""
        visual = self.visual
        return visual.attnpool.c_proj.out_features if isinstance(visual, ModifiedResNet) else visual.proj.shape[0]

    def project_image(self, features: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch embed"]:
        """Features as `image_features` gives them, in any precision, to what `encode_image` gives."""
        visual = self.visual
        return features if isinstance(visual, ModifiedResNet) else visual.project(features.to(visual.proj.dtype))

    def encode_text(self, tokens: Int[Tensor, "batch context"]) -> Float[Tensor, "batch embed"]:
        """Features before normalisation, as openai/CLIP gives them."""
        return self.text(tokens)

    def forward(self, images: Float[Tensor, "batch channels height width"], tokens: Int[Tensor, "batch context"]) -> Features:
        image = F.normalize(at_least_float32(self.encode_image(images)), dim=-1)
        text = F.normalize(at_least_float32(self.encode_text(tokens)), dim=-1)
        return Features(image=image, text=text, scale=self.logit_scale.exp(), bias=self.logit_bias)

    @torch.no_grad()
    def clip_scale(self) -> None:
        """Keep the scale in 1 to 100, after each step of training (section 2.5)."""
        self.logit_scale.clamp_(0.0, math.log(MAX_SCALE))

    def checkpoint_towers(self, *, image: bool, text: bool) -> None:
        """Gradient checkpointing, tower by tower: less memory, a second forward computation. ValueError for features that were
        computed before, of which nothing could be computed again.
        """
        if not isinstance(self.visual, Precomputed):
            tower = self.visual.transformer if isinstance(self.visual, VisionTransformer) else self.visual
            tower.checkpointing = image
        elif image:
            raise ValueError("a model on features has no image tower to checkpoint: set train.checkpoint_image_tower=false")
        self.text.transformer.checkpointing = text


def build(config: ClipConfig) -> Clip:
    """The module for `config`; weights are to be loaded, or set by `initialize`. ValueError on impossible shapes."""
    text = build_text(config.text, embed=config.embed)
    return Clip(_build_image_tower(config), text, logit_bias=config.logit_bias)


def _build_image_tower(config: ClipConfig) -> ImageTower:
    vision, embed = config.vision, config.embed
    if isinstance(vision, VitConfig):
        return build_vit(vision, embed=embed)
    if isinstance(vision, ResNetConfig):
        return build_resnet(vision, embed=embed)
    if isinstance(vision, EfficientNetConfig):
        return build_efficientnet(vision, embed=embed)
    assert isinstance(vision, FeaturesConfig)
    return build_features(vision, embed=embed)


@torch.no_grad()
def initialize(model: Clip, generator: torch.Generator) -> None:
    """Set every weight as openai/CLIP does (`initialize_parameters` in its model.py); what that leaves alone, the patch
    convolution, the ViT's blocks and all convolutions, gets PyTorch's own defaults, which are spelled out here.
    """
    for module in model.modules():
        _pytorch_default(module, generator)
    if isinstance(model.visual, VisionTransformer):
        _initialize_vit(model.visual, generator)
    elif isinstance(model.visual, ModifiedResNet):
        _initialize_resnet(model.visual, generator)
    else:
        nn.init.normal_(model.visual.proj, std=model.image_width**-0.5, generator=generator)
    _initialize_text(model.text, generator)
    model.logit_scale.fill_(math.log(1 / INITIAL_TEMPERATURE))


def _pytorch_default(module: nn.Module, generator: torch.Generator) -> None:
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        bound = 1 / math.sqrt(module.weight[0].numel())
        nn.init.uniform_(module.weight, -bound, bound, generator=generator)
        if module.bias is not None:
            nn.init.uniform_(module.bias, -bound, bound, generator=generator)
    elif isinstance(module, (nn.LayerNorm, nn.BatchNorm2d)):
        module.weight.fill_(1)
        module.bias.zero_()
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    elif isinstance(module, Transformer):
        for block in module.resblocks:  # nn.MultiheadAttention's
            nn.init.xavier_uniform_(block.attn.in_proj_weight, generator=generator)
            block.attn.in_proj_bias.zero_()


def _initialize_vit(tower: VisionTransformer, generator: torch.Generator) -> None:
    std = tower.proj.shape[0] ** -0.5
    for parameter in (tower.class_embedding, tower.positional_embedding, tower.proj):
        nn.init.normal_(parameter, std=std, generator=generator)
    for block in tower.transformer.resblocks:
        block.attn.out_proj.bias.zero_()


def _initialize_resnet(tower: ModifiedResNet, generator: torch.Generator) -> None:
    pool = tower.attnpool
    std = pool.positional_embedding.shape[1] ** -0.5
    nn.init.normal_(pool.positional_embedding, std=std, generator=generator)
    for projection in (pool.q_proj, pool.k_proj, pool.v_proj, pool.c_proj):
        nn.init.normal_(projection.weight, std=std, generator=generator)
    for block in tower.blocks():
        block.bn3.weight.zero_()


def _initialize_text(tower: TextTransformer, generator: torch.Generator) -> None:
    width, layers = tower.text_projection.shape[0], len(tower.transformer.resblocks)
    deep = width**-0.5 * (2 * layers) ** -0.5
    nn.init.normal_(tower.token_embedding.weight, std=0.02, generator=generator)
    nn.init.normal_(tower.positional_embedding, std=0.01, generator=generator)
    nn.init.normal_(tower.text_projection, std=width**-0.5, generator=generator)
    for block in tower.transformer.resblocks:
        nn.init.normal_(block.attn.in_proj_weight, std=width**-0.5, generator=generator)
        nn.init.normal_(block.attn.out_proj.weight, std=deep, generator=generator)
        block.attn.out_proj.bias.zero_()
        nn.init.normal_(block.mlp.c_fc.weight, std=(2 * width) ** -0.5, generator=generator)
        nn.init.normal_(block.mlp.c_proj.weight, std=deep, generator=generator)


def cast_matrices(model: Clip, dtype: torch.dtype) -> Clip:
    """Convolutions, linear layers, attention and projections to `dtype`, in place; norms, embeddings and the scale stay
    float32: openai/CLIP's `convert_weights`.
    """
    cast_tower(model.visual, dtype)
    cast_tower(model.text, dtype)
    return model


def cast_tower(tower: ImageTower | TextTransformer, dtype: torch.dtype) -> None:
    """The same for one of the two."""
    for module in tower.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.to(dtype)
        elif isinstance(module, Attention):
            module.in_proj_weight.data = module.in_proj_weight.data.to(dtype)
            module.in_proj_bias.data = module.in_proj_bias.data.to(dtype)
    if isinstance(tower, TextTransformer):
        tower.text_projection.data = tower.text_projection.data.to(dtype)
    elif not isinstance(tower, ModifiedResNet):
        tower.proj.data = tower.proj.data.to(dtype)
