"""A trained model as it ships: matrices in half precision, norms and biases as they are, where it comes from, and its card.

    python runs/small/finish.py runs/small/model --out src/fullclip/assets/small

prints its size and the SHA-256 of its weights. Half precision changes an embedding by about 1e-3 of its length at most; the
test of the bundled model says what that changes.
"""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import torch

from fullclip.core.storage import sha256
from fullclip.inference import tokenizer_of
from fullclip.models.checkpoint import Checkpoint, Provenance
from fullclip.models.resolution import change_resolution
from fullclip.models.weights import WEIGHTS_NAME, read_checkpoint, to_module
from fullclip.models.writing import write_checkpoint

MOST_BYTES = 32_000_000
CARD = Path(__file__).with_name("card.md")
PROVENANCE = Provenance(
    source="fullclip's bundled model, made by runs/small/train.sh",
    licence="research use (README.md beside it)",
    training_data="50,000 pictures with words, after ImageNet's labels and a sentence encoder",
    note="ImageNet's classes are not zero-shot for it: its image tower began as EfficientNet-Lite2, trained on their labels",
)


def halved(checkpoint: Checkpoint) -> Checkpoint:
    """Every matrix, convolution and embedding in float16."""
    state = {
        name: tensor.to(torch.float16) if tensor.is_floating_point() and tensor.ndim >= 2 else tensor
        for name, tensor in checkpoint.state.items()
    }
    if lost := [name for name, tensor in state.items() if tensor.is_floating_point() and not torch.isfinite(tensor).all()]:
        raise ValueError(f"{lost[0]} does not fit into half precision")
    return replace(checkpoint, state=state, provenance=PROVENANCE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--size", type=int, default=160, help="pixels a side that it looks at")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    checkpoint = read_checkpoint(given.model)
    finished = halved(change_resolution(checkpoint, given.size))
    to_module(finished, source=given.model)
    write_checkpoint(finished, given.out, tokenizer=tokenizer_of(given.model, checkpoint))
    digest = sha256(given.out / WEIGHTS_NAME)
    card = CARD.read_text(encoding="utf-8").replace("{sha256}", digest)
    (given.out / "README.md").write_text(card, encoding="utf-8")
    shutil.copyfile(CARD.with_name("mistakes.jpg"), given.out / "mistakes.jpg")
    size = sum(path.stat().st_size for path in given.out.iterdir())
    if size > MOST_BYTES:
        raise ValueError(f"{given.out} has {size:,} bytes, more than {MOST_BYTES:,}")
    print(f"{given.out}: {size:,} bytes, weights {digest}")


if __name__ == "__main__":
    main()
