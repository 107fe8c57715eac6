"""Vectors that were computed elsewhere: in whatever they come, found again, with what is known of them."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import fullclip
from embedded import write_model, write_pictures
from fullclip.cli.app import app
from fullclip.search.index import Index, derived
from fullclip.search.index.adding import add_vectors

NUM, DIM = 300, 16
KEYS = [f"n{i:03d}" for i in range(NUM)]
META = [{"caption": f"number {i}", "group": i % 3, "odd": bool(i % 2), "list": [i]} for i in range(NUM)]


def drawn(number: int = NUM) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((number, DIM))


def keys_of(index: str, vector, **options) -> list[str]:
    return [hit.key for hit in Index.open(index).search(np.asarray(vector)[None], fold=False, **options)[0]]


@pytest.mark.parametrize("make", [np.asarray, np.float32, torch.tensor, lambda x: x.tolist(), lambda x: 1e200 * x])
def test_the_nearest_are_those_of_the_formula(tmp_path, monkeypatch, make):
    monkeypatch.setattr(derived, "SWITCH", 100)
    vectors, index = drawn(), str(tmp_path / "index")
    found = add_vectors(index, make(vectors), keys=KEYS, model="mine", meta=META)
    assert (found.rows, found.added, found.skipped) == (NUM, NUM, {})
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    query = np.ones(DIM)
    assert keys_of(index, query) == [KEYS[i] for i in np.argsort(-(unit @ query), kind="stable")[:10]]
    assert keys_of(index, vectors[7], top=1, where="\"group\" = 1 AND odd AND caption = 'number 7'") == ["n007"]
    assert Index.open(index).search(vectors[7:8])[0][0].meta["list"] == [7]
    assert Index.open(index).stats().model == "mine"


def test_more_of_them_others_and_the_same(tmp_path):
    vectors, index = drawn(), str(tmp_path / "index")
    add_vectors(index, vectors[:200], keys=KEYS[:200], model="mine", meta=META[:200])
    changed = vectors.copy()
    changed[0] *= -1
    found = add_vectors(index, changed, keys=KEYS, model="mine", meta=META)
    assert (found.rows, found.added, found.replaced, found.unchanged) == (NUM, 100, 1, 199)
    assert keys_of(index, changed[0], top=1) == ["n000"]
    other = [{**META[5], "caption": "another"}]
    assert add_vectors(index, vectors[5:6], keys=KEYS[5:6], model="mine", meta=other).replaced == 1


def test_what_has_no_direction_or_no_key_of_its_own_is_left_out(tmp_path):
    vectors = drawn(5)
    vectors[1], vectors[2, 3] = 0, np.nan
    found = add_vectors(str(tmp_path / "index"), vectors, keys=["a", "b", "c", "d", "a"], model="mine")
    assert found.skipped == {"zero vector": 1, "NaN in a vector": 1, "key of another picture": 1}
    assert found.rows == 2


def test_words_find_them_where_the_model_is_one_of_ours(tmp_path):
    model, paths = write_model(tmp_path / "tiny"), write_pictures(tmp_path / "pictures")
    encoder, index = fullclip.load(model), str(tmp_path / "index")
    vectors = encoder.encode_images(paths)
    add_vectors(index, vectors, keys=[path.name for path in paths], model=model, fingerprint=encoder.fingerprint)
    words = encoder.encode_texts(["a dog"])[0]
    asked = CliRunner().invoke(app, ["search", "query", index, "a dog", "--json", "--duplicates", "--top", "3"])
    assert [hit["key"] for hit in json.loads(asked.stdout)["hits"]] == [paths[i].name for i in np.argsort(-vectors @ words)[:3]]


@pytest.mark.parametrize(
    ("vectors", "options", "said"),
    [
        (drawn(3), {"keys": ["a", "b"]}, "3 vectors and 2 keys: one for each is needed"),
        (drawn(3), {"keys": KEYS[:3], "meta": META[:1]}, "3 vectors and 1 meta: one for each is needed"),
        (drawn(3)[0], {"keys": KEYS[:DIM]}, "vectors are [16]: [n, dim] is needed"),
        (drawn(3)[:, :0], {"keys": KEYS[:3]}, "vectors are [3, 0]: [n, dim] is needed"),
        ([[1.0, 2.0], [3.0]], {"keys": KEYS[:2]}, "vectors are lists of different lengths"),
        ([["a"]], {"keys": ["a"]}, "real numbers are needed"),
        (drawn(0), {"keys": []}, "there are no vectors"),
        (drawn(3), {"keys": KEYS[:3], "model": " "}, "model is empty"),
        (drawn(3)[:, :8], {"keys": KEYS[:3]}, "vectors of 16 numbers, of the model mine; mine makes 8"),
        (drawn(3), {"keys": KEYS[:3], "model": "yours"}, "was built with the model mine, and yours is another"),
    ],
)
def test_mistakes_are_one_line(tmp_path, vectors, options, said):
    index = str(tmp_path / "index")
    add_vectors(index, drawn(), keys=KEYS, model="mine")
    with pytest.raises(ValueError, match=re.escape(said)):
        add_vectors(index, vectors, **{"model": "mine", **options})
    assert len(Index.open(index)) == NUM


KILLED = """
import os, sys
import numpy as np
from fullclip.search.index import adding, building
building._VECTORS_A_WRITE = adding._AT_ONCE = 64
take, left = building.Writer.take_embedded, int(sys.argv[2])
def until(self, *given, **named):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), 9)
    take(self, *given, **named)
building.Writer.take_embedded = until
vectors = np.random.default_rng(0).standard_normal((300, 16))
adding.add_vectors(sys.argv[1], vectors, keys=[f"n{i:03d}" for i in range(300)], model="mine")
"""


@pytest.mark.faults
def test_killed_it_goes_on(tmp_path):
    index = str(tmp_path / "index")
    assert subprocess.run([sys.executable, "-c", KILLED, index, "3"]).returncode == -9
    found = add_vectors(index, drawn(), keys=KEYS, model="mine")
    assert (found.rows, found.unchanged + found.added) == (NUM, NUM)
    assert found.unchanged >= 64
