"""What is looked for, as one vector: beside the plain sums."""

import numpy as np
import pytest

import fullclip
from embedded import write_model, write_pictures
from fullclip.search.index import Index
from fullclip.search.index.building import add
from fullclip.search.jobs import ModelChoice
from fullclip.search.query import combined


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return fullclip.load(write_model(tmp_path_factory.mktemp("model") / "tiny"))


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Index:
    folder = tmp_path_factory.mktemp("index")
    write_pictures(folder / "pictures")
    model = ModelChoice(name=write_model(folder / "tiny"))
    add([str(folder / "pictures")], str(folder / "index"), choice=model, create=True)
    return Index.open(str(folder / "index"))


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def test_sums_of_what_is_looked_for(encoder, index):
    texts, picture = encoder.encode_texts(["a dog", "a cat", "snow"]), np.full((36, 40, 3), 90, np.uint8)
    image, like = encoder.encode_images([picture])[0], index.vector("a/000.png")
    for given, expected in [
        ({"texts": ["a dog"]}, texts[0]),
        ({"texts": ["a dog", "a cat"]}, texts[0] + texts[1]),
        ({"images": [picture]}, image),
        ({"like": ["a/000.png"]}, like),
        ({"texts": ["a dog"], "images": [picture], "like": ["a/000.png"]}, texts[0] + image + like),
        ({"texts": ["a dog"], "minus": ["snow"]}, texts[0] - texts[2]),
        ({"texts": ["a dog", "a cat"], "minus": ["snow"]}, (texts[0] + texts[1]) / 2 - texts[2]),
    ]:
        found = combined(encoder, index, **given)
        assert (found.dtype, found.shape) == (np.float32, (index.dim,))
        np.testing.assert_allclose(found, unit(expected), atol=1e-5)


def test_a_picture_of_the_index_finds_itself(encoder, index):
    (hits,) = index.search(combined(encoder, index, like=["b/003.png"])[None], top=1)
    assert "b/003.png" in (hits[0].key, *hits[0].meta["duplicates"])


def test_what_cannot_be_looked_for(encoder, index):
    for given, said in [
        ({}, "nothing to look for"),
        ({"minus": ["snow"]}, "beside what to get away from"),
        ({"texts": [" "]}, "empty"),
        ({"texts": ["snow"], "minus": ["snow"]}, "the same"),
        ({"like": ["no such"]}, "no picture with the key 'no such'"),
    ]:
        with pytest.raises(ValueError, match=said):
            combined(encoder, index, **given)
    with pytest.raises(ValueError, match="built with the model"):
        combined(fullclip.load("small"), index, texts=["a dog"])
