"""Files to tensors a second: our evaluation transform against transformers' CLIPImageProcessor, on the same files, in one run.

make bench, or: python bench/images.py      (one thread each; JPEGs of 500 x 375 pixels made from noise and gradients)
"""

import io
import statistics
import time

import numpy as np
from PIL import Image, ImageFilter
from transformers import CLIPImageProcessor

from fullclip.preprocess.image import PreprocessConfig, decode_image, eval_transform

NUM_IMAGES, ROUNDS = 64, 5


def jpegs() -> list[bytes]:
    random = np.random.default_rng(0)
    found = []
    for _ in range(NUM_IMAGES):
        noise = Image.fromarray(random.integers(0, 256, size=(375, 500, 3), dtype=np.uint8)).filter(ImageFilter.GaussianBlur(3))
        file = io.BytesIO()
        noise.save(file, "JPEG", quality=90)
        found.append(file.getvalue())
    return found


def main() -> None:
    files, transform, processor = jpegs(), eval_transform(PreprocessConfig()), CLIPImageProcessor()
    ratios = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for file in files:
            processor(images=Image.open(io.BytesIO(file)), return_tensors="pt")
        middle = time.perf_counter()
        for file in files:
            transform(decode_image(file))
        end = time.perf_counter()
        ratios.append((middle - start) / (end - middle))
        rates = NUM_IMAGES / (middle - start), NUM_IMAGES / (end - middle)
        print(f"transformers {rates[0]:>7,.0f} images/s   fullclip {rates[1]:>7,.0f} images/s   ratio {ratios[-1]:.2f}")
    print(f"median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
