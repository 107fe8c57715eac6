"""A model that was trained on features, with the image tower that its features come from in front of it: a model for pictures.

    python runs/small/join.py small/trunk locked/model --out joined

The joined model gives of a picture what the other gave of its features.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fullclip.inference import tokenizer_of
from fullclip.models.checkpoint import Checkpoint
from fullclip.models.config import EfficientNetConfig, FeaturesConfig
from fullclip.models.weights import read_checkpoint, to_module
from fullclip.models.writing import write_checkpoint

OF_FEATURES = ("visual.ln_post.weight", "visual.ln_post.bias", "visual.proj")


def joined(trunk: Checkpoint, trained: Checkpoint) -> Checkpoint:
    """The trunk's image tower up to its features, and all of the model that was trained on them. ValueError where the one is no
    EfficientNet (a ViT has a norm before its features, and would want a second one behind them), where the other is no model
    on features, or the features are of another width.
    """
    features, vision = trained.config.vision, trunk.config.vision
    if not isinstance(vision, EfficientNetConfig):
        raise ValueError(f"{trunk.provenance.source} has an image tower of the kind {vision.kind}: give one of efficientnet")
    if not isinstance(features, FeaturesConfig) or vision.width != features.width:
        raise ValueError(f"{trained.provenance.source} is not trained on features of {vision.width} numbers: {features}")
    state = {name: tensor for name, tensor in trunk.state.items() if name.startswith("visual.") and name not in OF_FEATURES}
    return Checkpoint(
        config=replace(trained.config, vision=vision),
        state=state | dict(trained.state),
        preprocess=trunk.preprocess,
        provenance=trunk.provenance,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trunk", type=Path)
    parser.add_argument("trained", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        trained = read_checkpoint(given.trained)
        model = joined(read_checkpoint(given.trunk), trained)
        to_module(model, source=given.out)  # what does not fit is refused before anything is written
        write_checkpoint(model, given.out, tokenizer=tokenizer_of(given.trained, trained))
    except (ValueError, OSError) as error:
        sys.exit(f"join: {error}")
    print(given.out)


if __name__ == "__main__":
    main()
