"""Pictures that are nearly the same are one answer."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

import fullclip
from fullclip.search.index import Index
from fullclip.search.index.folding import NEARLY_THE_SAME, fold
from indexed import drawn, write_index

PHOTOGRAPHS = Path(fullclip.__file__).parent / "assets/photographs"


def naive(vectors: np.ndarray, top: int, same: float) -> list[tuple[int, list[int]]]:
    groups: list[tuple[int, list[int]]] = []
    for i in range(len(vectors)):
        home = next((group for group in groups if float(vectors[group[0]] @ vectors[i]) >= same), None)
        if home:
            home[1].append(i)
        elif len(groups) < top:
            groups.append((i, []))
    return groups


def test_groups_are_those_of_the_plain_loop():
    vectors = drawn(300)
    for same in (0.9, 0.97, 1.1):
        found = fold(vectors, top=20, same=same)
        assert [(group.first, group.others) for group in found] == naive(vectors, 20, same)


def test_copies_take_one_place_and_are_named(tmp_path):
    """Of 3 pictures with 40 copies each, five answers are three and two others."""
    different = drawn(60, kinds=60)
    vectors = np.concatenate([np.repeat(different[:3], 40, axis=0), different[3:]])
    path, _ = write_index(tmp_path, vectors)
    index = Index.open(path)
    hits = index.search(different[:1], top=5)[0]
    apart = vectors[[int(hit.key[1:]) for hit in hits]]
    assert len(hits) == 5
    assert (apart @ apart.T - np.eye(5) < NEARLY_THE_SAME).all()
    copies = {f"k{i}" for i in range(40)}
    assert {hits[0].key, *hits[0].meta["duplicates"]} >= copies
    assert "duplicates" not in index.search(different[:1], top=5, fold=False)[0][0].meta


def test_the_bundled_model_sees_a_smaller_jpeg_as_the_same_and_other_photographs_as_others():
    photographs = sorted(path for path in PHOTOGRAPHS.iterdir() if path.suffix in (".jpg", ".png"))
    encoder = fullclip.load("small")
    vectors = encoder.encode_images(photographs)
    smaller = []
    for path in photographs:
        with Image.open(path) as picture:
            written = io.BytesIO()
            picture.convert("RGB").resize((picture.width * 3 // 4, picture.height * 3 // 4)).save(written, "JPEG", quality=80)
            smaller.append(written.getvalue())
    again = encoder.encode_images(smaller)
    assert ((vectors * again).sum(axis=1) >= NEARLY_THE_SAME).all()
    assert (vectors @ vectors.T - np.eye(len(vectors)) < NEARLY_THE_SAME).all()
