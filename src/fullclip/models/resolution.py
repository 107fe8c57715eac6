"""A checkpoint for pictures of another size: fine-tuning at a higher resolution starts here."""

from dataclasses import replace

from fullclip.models.checkpoint import Checkpoint, CheckpointError
from fullclip.models.config import EfficientNetConfig, FeaturesConfig, ResNetConfig, VitConfig
from fullclip.models.positions import positions_for

_STRIDE = 32  # of a ModifiedResNet's last stage


def change_resolution(checkpoint: Checkpoint, image_size: int) -> Checkpoint:
    """The checkpoint for images of `image_size` pixels a side: the image tower's learned positions interpolated once and for
    all, as the model would for each picture of that size, the config and the preprocessing changed to it.

    The paper's ViT-L/14@336px is ViT-L/14 after one more epoch at 336 pixels (section 2.5). ValueError for a size that is not
    made of whole patches, or for a ResNet of whole 32 pixels. An EfficientNet has no positions: it takes any size.
    """
    vision = checkpoint.config.vision
    if isinstance(vision, FeaturesConfig):
        raise ValueError("this model takes features of images, which have no size: give the model that they come from")
    unit, name = _places(vision)
    if image_size < unit or image_size % unit:
        raise ValueError(f"images of {image_size} pixels a side: this model takes multiples of {unit}")
    if image_size == vision.image_size == checkpoint.preprocess.size:
        return checkpoint
    changed, note = {}, f"from {vision.image_size} to {image_size} pixels"
    if name is not None:
        if name not in checkpoint.state:
            raise CheckpointError(f"{checkpoint.provenance.source}: {name} is missing")
        side = image_size // unit
        changed[name] = positions_for(checkpoint.state[name], (side, side), vision.image_size // unit)
        note = f"positions interpolated {note}"
    before = checkpoint.provenance
    return replace(
        checkpoint,
        config=replace(checkpoint.config, vision=replace(vision, image_size=image_size)),
        state={**checkpoint.state, **changed},
        preprocess=replace(checkpoint.preprocess, size=image_size),
        provenance=replace(before, sha256="", note="; ".join(filter(None, [before.note, note]))),
    )


def _places(vision: VitConfig | ResNetConfig | EfficientNetConfig) -> tuple[int, str | None]:
    """How many pixels a side one place takes, and the name of the positions that are learned; an EfficientNet has none."""
    if isinstance(vision, EfficientNetConfig):
        return 1, None
    if isinstance(vision, VitConfig):
        return vision.patch_size, "visual.positional_embedding"
    return _STRIDE, "visual.attnpool.positional_embedding"
