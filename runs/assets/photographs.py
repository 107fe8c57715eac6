"""The photographs that the demo asks about: six of scikit-image's and scikit-learn's, made small. No model here saw them.

Comes in: the folders of both packages' pictures. Goes out: src/fullclip/assets/photographs/*.jpg, 256 pixels on the short side.

    pip download --no-deps scikit-image==0.26.0 && unzip scikit_image-*.whl 'skimage/data/*'
    python runs/assets/photographs.py skimage/data .venv/lib/python3.11/site-packages/sklearn/datasets/images
"""

import argparse
from pathlib import Path

from PIL import Image

SIDE = 256
NAMES = {
    "chelsea.png": "cat",
    "coffee.png": "coffee",
    "rocket.jpg": "rocket",
    "astronaut.png": "astronaut",
    "flower.jpg": "flower",
    "china.jpg": "temple",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    target = Path(__file__).parents[2] / "src/fullclip/assets/photographs"
    target.mkdir(exist_ok=True)
    folders = parser.parse_args().folders
    for file, name in NAMES.items():
        source = next(folder / file for folder in folders if (folder / file).is_file())
        with Image.open(source) as image:
            scale = SIDE / min(image.size)
            small = image.convert("RGB").resize([round(scale * side) for side in image.size], Image.Resampling.LANCZOS)
        small.save(target / f"{name}.jpg", "JPEG", quality=85)
        print(f"{target / name}.jpg: {small.size}, {(target / f'{name}.jpg').stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
