"""Sets of pictures as folders."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Tree = Callable[[Mapping[str, bytes | str | int]], Path]


def encoded(label: int, form: str = "png") -> bytes:
    """A picture of its own for each label, encoded."""
    file = io.BytesIO()
    pixels = np.random.default_rng(label).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(file, form, **({"lossless": True} if form == "webp" else {}))
    return file.getvalue()


@pytest.fixture
def picture() -> Callable[..., bytes]:
    return encoded


@pytest.fixture
def tree(tmp_path) -> Tree:
    """Writes {path: bytes, text, or the number of a picture} below a folder, and gives that."""

    def write(files: Mapping[str, bytes | str | int], name: str = "set") -> Path:
        for path, content in files.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            data = content.encode() if isinstance(content, str) else encoded(content) if isinstance(content, int) else content
            file.write_bytes(data)
        return tmp_path / name

    return write
