"""Prompts a second: a zero-shot classifier's sentences through our encoder and through transformers, in one run.

The same weights on both sides (random ones: texts cost the same whatever is learned), 80 templates times 100 of ImageNet's
classes. transformers gets them padded to 77 tokens, as openai/CLIP does, in float32, and a part of them only, since all would
take minutes. Both in turn, several times; the ratio is of the best of each. How near both come is printed.

    python bench/texts.py [--model ViT-B-32] [--precision float32] [--classes 100] [--rounds 3]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from transformers import CLIPModel

from fullclip.evaluation.datasets import class_names, templates
from fullclip.inference import Encoder
from fullclip.models.clip import cast_matrices
from fullclip.models.config import PRESETS
from fullclip.preprocess.image import PreprocessConfig
from fullclip.preprocess.tokenizer import Tokenizer
from peers import in_two_hands

THEIR_PART, CONTEXT = 64, 77


def prompts(classes: int) -> list[str]:
    """ImageNet's 80 templates for each of so many classes, spread over its list."""
    names = [words[0] for words in class_names("imagenet")]
    chosen = names[:: len(names) // classes][:classes]
    return [template.replace("{c}", name) for name in chosen for template in templates("imagenet")]


def both(model: str, precision: str, folder: Path) -> tuple[Encoder, CLIPModel]:
    clip = in_two_hands(PRESETS[model], folder)
    peer = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    preprocess = PreprocessConfig(size=PRESETS[model].vision.image_size)
    ours = cast_matrices(clip, getattr(torch, precision))
    return Encoder(ours, preprocess=preprocess, tokenizer=Tokenizer.clip()), peer


def their_embeddings(peer: CLIPModel, tokens: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        rows = torch.cat([peer.get_text_features(input_ids=part.long()).pooler_output for part in tokens.split(32)])
    return torch.nn.functional.normalize(rows, dim=-1).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32", help="ours; the peer's is float32")
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    texts = prompts(given.classes)
    with tempfile.TemporaryDirectory() as folder:
        encoder, peer = both(given.model, given.precision, Path(folder) / "peer")
    part = texts[:: len(texts) // THEIR_PART][:THEIR_PART]
    tokens = Tokenizer.clip(context_length=CONTEXT).encode(part).ids
    cosines = (encoder.encode_texts(part) * their_embeddings(peer, tokens)).sum(axis=1)
    print(f"{len(texts):,} prompts; {given.precision} beside float32; lowest cosine with the peer's {cosines.min():.6f}")
    ours, theirs = list[float](), list[float]()
    for _ in range(given.rounds):
        start = time.perf_counter()
        encoder.encode_texts(texts)
        middle = time.perf_counter()
        their_embeddings(peer, tokens)
        theirs.append(THEIR_PART / (time.perf_counter() - middle))
        ours.append(len(texts) / (middle - start))
        print(f"fullclip {ours[-1]:.0f} prompts/s, transformers {theirs[-1]:.1f}", flush=True)
    print(f"ratio {max(ours) / max(theirs):.1f}")


if __name__ == "__main__":
    main()
