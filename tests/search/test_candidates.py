"""All that may hold pictures, as pictures: the same pixels whatever they came in, and what is refused or left out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from PIL import Image

from fullclip.data.drops import Drops
from fullclip.search.candidates import Candidate, Intake, Named
from pairs import encoded, picture

PIXELS = np.random.default_rng(0).integers(0, 256, size=(3, 6, 8, 3), dtype=np.uint8)


@dataclass
class Output:
    """As a pipeline's."""

    images: Any


def read(images: Any, drops: Drops | None = None) -> list[Candidate]:
    return list(Intake(drops or Drops()).read(images))


def as_tensor(pixels: np.ndarray, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return (torch.from_numpy(pixels).movedim(-1, -3).double() / 255).to(dtype)


KINDS = {
    "Pillow": [Image.fromarray(one) for one in PIXELS],
    "array of all": PIXELS,
    "arrays": list(PIXELS),
    "floats": PIXELS / 255,
    "half floats": [(one / 255).astype(np.float16) for one in PIXELS],
    "tensor of all": as_tensor(PIXELS),
    "tensors": list(as_tensor(PIXELS)),
    "half tensors": as_tensor(PIXELS, torch.float16),
    "tensors in 8 bits": torch.from_numpy(PIXELS).movedim(-1, 1),
    "tensors with a gradient": as_tensor(PIXELS).requires_grad_(),
    "a little over": as_tensor(PIXELS) * 1.0001 - 0.00005,
    "output": Output(images=[Image.fromarray(one) for one in PIXELS]),
    "outputs": [Output(images=as_tensor(PIXELS[:2])), (Output(images=PIXELS[2:]),)],
    "nested": [[Image.fromarray(PIXELS[0]), [PIXELS[1]]], (as_tensor(PIXELS[2]),)],
    "named": [Named(key=str(i), image=one) for i, one in enumerate(PIXELS)],
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_pixels_whatever_they_come_in(kind):
    found = read(KINDS[kind])
    assert [one.position for one in found] == [0, 1, 2]
    assert [one.key for one in found] == ["0", "1", "2"]
    for one, pixels in zip(found, PIXELS, strict=True):
        np.testing.assert_array_equal(np.asarray(one.image), pixels)


def test_paths_and_bytes_stay_what_they_are():
    found = read([Path("a/b.png"), "c.png", picture(0), Named(key="shard:key", image=picture(1))])
    assert [one.image for one in found] == [Path("a/b.png"), "c.png", picture(0), picture(1)]
    assert [one.key for one in found] == ["a/b.png", "c.png", "2", "shard:key"]
    assert [one.image for one in read("c.png")] == ["c.png"]


def test_what_is_given_may_be_written_over():
    def drawn():
        array, tensor, image = np.zeros((4, 4, 3), np.uint8), torch.zeros(3, 4, 4), Image.new("RGB", (4, 4))
        for level in (51, 102):
            array[:], image = level, image
            tensor[:] = level / 255
            image.paste((level,) * 3, (0, 0, 4, 4))
            yield from (array, tensor, image)

    assert [np.asarray(one.image).max() for one in read(drawn())] == [51] * 3 + [102] * 3


def test_a_slice_does_not_hold_the_batch_it_is_of():
    batch = np.zeros((64, 32, 32, 3), np.uint8)
    kept = read(batch[:1])[0].image
    batch[0] = 255
    assert np.asarray(kept).max() == 0


def test_the_positions_go_on_over_all_that_comes():
    drops = Drops()
    intake = Intake(drops)
    broken = np.full((2, 2, 3), np.nan)
    found = [*intake.read([PIXELS[0], broken]), *intake.read(PIXELS[:2]), *intake.read(Image.new("RGB", (0, 3)))]
    assert [one.position for one in found] == [0, 2, 3]
    assert intake.num_seen == 5
    assert drops.examples == {"unreadable image": ["image 1: its pixels are not all finite", "image 4: it has no pixels"]}


def test_a_pillow_image_that_breaks_when_it_is_read_is_left_out(tmp_path):
    whole = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)))
    (tmp_path / "torn.png").write_bytes(whole[:2000])
    drops = Drops()
    with Image.open(tmp_path / "torn.png") as image:
        assert read([image, PIXELS[0]], drops)[0].position == 1
    assert drops.counts == {"unreadable image": 1}
    assert drops.examples["unreadable image"][0].startswith("image 0: cannot be decoded")


REFUSED = {
    "another range": (as_tensor(PIXELS) * 2 - 1, r"from -1 to .*; give \(x / 2 \+ 0.5\).clip\(0, 1\)"),
    "levels as floats": (as_tensor(PIXELS) * 255, r"from 0 to 2[45]\d: .*give x / 255"),
    "channels first": (
        np.zeros((3, 6, 8), np.uint8),
        r"an array uint8 \[3, 6, 8\]: give np.moveaxis\(x, -3, -1\); or give a path",
    ),
    "channels last": (
        torch.zeros(2, 6, 8, 3),
        r"a tensor torch.float32 \[2, 6, 8, 3\]: give x.movedim\(-1, -3\); or give a path",
    ),
    "grey": (torch.zeros(1, 6, 8), r"tensor torch.float32 \[1, 6, 8\]: give a path"),
    "no memory": (torch.zeros(3, 6, 8, device="meta"), "tensor on meta, torch.strided: give a dense one"),
    "sparse": (torch.zeros(3, 6, 8).to_sparse(), "tensor on cpu, torch.sparse_coo: give a dense one"),
    "whole numbers": (np.zeros((6, 8, 3), np.int64), "pixels in int64"),
    "flags": (torch.zeros(3, 6, 8, dtype=torch.bool), "pixels in bool"),
    "no pixels": (np.zeros((0, 8, 3), np.uint8), r"\[0, 8, 3\]"),
    "a number": ([3], "image 0 is a int"),
    "nothing": ([None], "image 0 is a NoneType"),
    "a dictionary": ([{"images": [PIXELS[0]]}], "image 0 is a dict"),
    "file in place of a list": (bytearray(b"abc"), "image 0 is a bytearray"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_picture_is_refused_with_what_to_give(kind):
    images, words = REFUSED[kind]
    with pytest.raises(ValueError, match=words):
        read(images)


def test_a_list_that_holds_itself_is_refused():
    endless: list[Any] = [PIXELS[0]]
    endless.append(endless)
    with pytest.raises(ValueError, match="lists within lists"):
        read(endless)


@given(st.floats(0, 1), st.sampled_from([np.float16, np.float32, np.float64]))
def test_floats_are_rounded_to_the_nearest_level(value, dtype):
    given_value = float(dtype(value))
    (found,) = read(np.full((2, 2, 3), value, dtype=dtype))
    assert abs(int(np.asarray(found.image).max()) - 255 * given_value) <= 0.5 + 1e-9
