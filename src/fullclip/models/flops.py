"""How much there is to compute: floating-point operations of a forward pass, from a model's shapes alone.

Two operations for each multiply-add of matrix products, convolutions and attention, whose masked half is counted, too; what is
done element by element (norms, activations, pooling, softmax) is not. So do PyTorch's FlopCounterMode and the usual definition
of model FLOPs utilisation (Chowdhery et al. 2022, appendix B). Without gradients less is computed: see `Transformer.summary`.
"""

from fullclip.models.config import ClipConfig, EfficientNetConfig, FeaturesConfig, ResNetConfig, VitConfig
from fullclip.models.vit import kept_patches

_EXPANSION = 4


def forward_flops(config: ClipConfig, *, text_tokens: int | None = None, training: bool = False) -> int:
    """Operations for one pair of an image and a text through both towers. A step of training is three times as many.

    text_tokens: what is left of a text after `trim_padding`; None is the whole context. training: without the patches that
    `patch_dropout` leaves out.
    """
    return image_flops(config, training=training) + text_flops(config, tokens=text_tokens)


def image_flops(config: ClipConfig, *, training: bool = False) -> int:
    """Operations for one image through its tower; see `forward_flops`."""
    vision = config.vision
    if isinstance(vision, VitConfig):
        return _vit(vision, config.embed, training=training)
    if isinstance(vision, EfficientNetConfig):
        return _efficientnet(vision, config.embed)
    if isinstance(vision, FeaturesConfig):
        return 2 * vision.width * config.embed
    return _resnet(vision, config.embed)


def text_flops(config: ClipConfig, *, tokens: int | None = None) -> int:
    """Operations for one text of so many tokens, with padding, through its tower; None is the whole context. ValueError
    where the context does not hold them.
    """
    text = config.text
    tokens = text.context_length if tokens is None else tokens
    if not 1 <= tokens <= text.context_length:
        raise ValueError(f"texts of {tokens} tokens: this model's context holds 1 to {text.context_length}")
    return text.layers * _block(tokens, text.width, text.mlp_width) + 2 * text.width * config.embed


def _block(tokens: int, width: int, mlp_width: int) -> int:
    """Four square matrices and the MLP's two for each token; q k and the weighted sum of v for each pair of tokens."""
    return 2 * tokens * width * (4 * width + 2 * mlp_width) + 4 * tokens**2 * width


def _vit(vision: VitConfig, embed: int, *, training: bool) -> int:
    patches, width = (vision.image_size // vision.patch_size) ** 2, vision.width
    seen = kept_patches(patches, vision.patch_dropout) if training else patches
    stem = 2 * patches * 3 * vision.patch_size**2 * width
    return stem + vision.layers * _block(1 + seen, width, vision.mlp_width) + 2 * width * embed


def _resnet(vision: ResNetConfig, embed: int) -> int:
    side, width, half = vision.image_size // 2, vision.width, vision.width // 2
    total = 2 * side**2 * 9 * (3 * half + half * half + half * width)
    side, inputs = side // 2, width
    for stage, blocks in enumerate(vision.blocks):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            total += _bottleneck(inputs, width * 2**stage, side=side, stride=stride)
            side, inputs = side // stride, width * 2**stage * _EXPANSION
    tokens = side**2 + 1
    pool = 2 * inputs**2 * (1 + 2 * tokens) + 4 * tokens * inputs + 2 * inputs * embed  # one query for all places
    return total + pool


def _bottleneck(inputs: int, channels: int, *, side: int, stride: int) -> int:
    outputs, places = channels * _EXPANSION, (side // stride) ** 2
    downsample = inputs * outputs if stride > 1 or inputs != outputs else 0
    return 2 * side**2 * (inputs * channels + 9 * channels**2) + 2 * places * (channels * outputs + downsample)


def _efficientnet(vision: EfficientNetConfig, embed: int) -> int:
    side, inputs = -(-vision.image_size // 2), vision.stem
    total = 2 * side**2 * 9 * 3 * inputs
    for blocks, outputs, kernel, stride, expansion in vision.stages():
        for block in range(blocks):
            inner, before = inputs * expansion, side
            side = -(-side // stride) if block == 0 else side
            expands = inputs * inner if expansion > 1 else 0
            total += 2 * before**2 * expands + 2 * side**2 * inner * (kernel**2 + outputs)
            inputs = outputs
    return total + 2 * side**2 * inputs * vision.width + 2 * vision.width * embed
