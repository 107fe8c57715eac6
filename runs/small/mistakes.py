"""What the bundled model gets wrong, as pictures: held-out drawings that it finds last by their own title.

Comes in: the sample's held-out pairs, which ship with the package and are in the public domain. Goes out: a sheet of the worst,
each with its title and the title that the model would rather give it.

    python runs/small/mistakes.py --out runs/small/mistakes.jpg
"""

import argparse
import io
import textwrap
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import fullclip
from fullclip.data.drops import Drops
from fullclip.data.shards import read_shards

COLUMNS, ROWS, SIDE, CAPTION = 6, 3, 140, 64
LETTERS = 24  # a line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="small")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    pairs = list(read_shards([str(files("fullclip").joinpath("assets/sample/heldout"))], Drops(strict=True)))
    encoder = fullclip.load(given.model, precision="float32")
    titles = [pair.texts[0] for pair in pairs]
    similarities = encoder.encode_images([pair.image for pair in pairs]) @ encoder.encode_texts(titles, truncate=True).T
    ranks = (similarities > np.diag(similarities)[:, None]).sum(axis=1)
    sheet = Image.new("RGB", (COLUMNS * SIDE, ROWS * (SIDE + CAPTION)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    for place, index in enumerate(np.argsort(-ranks, kind="stable")[: COLUMNS * ROWS]):
        left, top = place % COLUMNS * SIDE, place // COLUMNS * (SIDE + CAPTION)
        with Image.open(io.BytesIO(pairs[index].image)) as image:
            small = image.convert("RGB")
        small.thumbnail((SIDE - 8, SIDE - 8))
        sheet.paste(small, (left + (SIDE - small.width) // 2, top + (SIDE - small.height) // 2))
        said = titles[int(similarities[index].argmax())]
        lines = [*textwrap.wrap(titles[index], LETTERS)[:2], *textwrap.wrap(f"taken for: {said}", LETTERS)[:2]]
        draw.multiline_text((left + 4, top + SIDE), "\n".join(lines), fill="black", font=font, spacing=2)
    sheet.save(given.out, "JPEG", quality=85)
    print(f"{given.out}: {(ranks < 10).mean():.1%} of {len(pairs)} have their own title among the first ten")


if __name__ == "__main__":
    main()
