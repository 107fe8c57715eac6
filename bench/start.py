"""Seconds to an answer of cold processes, in one run: `fullclip --help` beside `python -c pass`; `fullclip classify` with the
bundled model beside a script on transformers, whose model has as many weights and is random.

make bench, or: python bench/start.py
"""

import statistics
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

import fullclip
from fullclip.models.clip import Clip
from fullclip.models.config import ClipConfig, TextConfig, VitConfig
from peers import in_two_hands

ROUNDS = 10
PICTURE = str(files("fullclip").joinpath("assets/photographs/cat.jpg"))
LABELS = ("cat", "dog", "car")
PEER = f"""
from PIL import Image
from transformers import CLIPModel, CLIPProcessor
import sys, torch
model, processor = CLIPModel.from_pretrained(sys.argv[1]).eval(), CLIPProcessor.from_pretrained(sys.argv[1])
texts = [f"a photo of a {{label}}." for label in {LABELS!r}]
given = processor(text=texts, images=Image.open({PICTURE!r}), return_tensors="pt", padding=True)
with torch.no_grad():
    print(model(**given).logits_per_image.softmax(dim=1))
"""
OF_THE_PEER = ClipConfig(
    embed=256,
    vision=VitConfig(image_size=160, patch_size=16, width=192, layers=11, heads=3, mlp_width=768),
    text=TextConfig(width=112, layers=3, heads=2, mlp_width=448),
)


def seconds(*command: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def median(*command: str) -> float:
    return statistics.median(seconds(*command) for _ in range(ROUNDS))


def num_weights(model: Clip) -> str:
    return f"{sum(weight.numel() for weight in model.parameters()) / 1e6:.1f} million weights"


def main() -> None:
    bare = median(sys.executable, "-c", "pass")
    answer = median(sys.executable, "-m", "fullclip", "--help")
    print(f"fullclip --help {answer:.3f} s   python -c pass {bare:.3f} s   ratio {answer / bare:.1f}   (bar: 0.3 s)")
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder) / "peer"
        peer = in_two_hands(OF_THE_PEER, where)
        ours, theirs = list[float](), list[float]()
        for _ in range(ROUNDS):
            ours.append(seconds(sys.executable, "-m", "fullclip", "classify", PICTURE, "--labels", ",".join(LABELS)))
            theirs.append(seconds(sys.executable, "-c", PEER, str(where)))
    first, other = statistics.median(ours), statistics.median(theirs)
    print(f"fullclip classify {first:.2f} s ({num_weights(fullclip.load('small').model)})   ", end="")
    print(f"transformers {other:.2f} s ({num_weights(peer)})   ratio {other / first:.1f}   (bars: 3 s, 2)")


if __name__ == "__main__":
    main()
