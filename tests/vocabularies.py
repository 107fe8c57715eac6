"""Small vocabularies for tests: the beginning of CLIP's own."""

import json
from importlib.resources import files
from pathlib import Path

CLIP = files("fullclip").joinpath("assets/tokenizer.json")
LETTERS = 512  # 256 bytes, and each at the end of a word


def write_vocabulary(path: Path, *, merges: int) -> Path:
    """A tokenizer.json with CLIP's first merges: 512 + merges + 2 pieces."""
    content = json.loads(CLIP.read_text(encoding="utf-8"))
    model = content["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].__getitem__)
    kept = [*pieces[: LETTERS + merges], *pieces[-2:]]
    content["model"] = {**model, "vocab": {piece: i for i, piece in enumerate(kept)}, "merges": model["merges"][:merges]}
    content["added_tokens"] = []
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
