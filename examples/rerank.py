"""The pictures of a stream that fit a caption best. In place of the painter: a diffusion pipeline, called again and again."""

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

import fullclip
from fullclip.search.rerank import Reranker

COLOURS = ("red", "green", "blue", "yellow", "white", "black")


def painter(number: int) -> Iterator[Image.Image]:
    """Discs and squares of any colour on any other; with diffusers: `yield from pipeline(prompt).images`."""
    random = np.random.default_rng(0)
    for _ in range(number):
        ground, colour = random.choice(COLOURS, 2, replace=False)
        image = Image.new("RGB", (128, 128), str(ground))
        draw = ImageDraw.Draw(image)
        left, top = random.integers(8, 40, 2).tolist()
        shape = draw.ellipse if random.random() < 0.5 else draw.rectangle
        shape((left, top, left + 72, top + 72), fill=str(colour))
        yield image


encoder = fullclip.load("small")
reranker = Reranker(encoder, ["a red disc", "a red ball"], templates=["a photo of {}.", "{}"], top=4, diversity=0.3)
reranker.add(painter(64))
for hit in reranker.best():
    print(f"picture {hit.key}: CLIPScore {hit.score:.3f}")
reranker.contact_sheet().save("best.png")
