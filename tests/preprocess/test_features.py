"""Features as files: what was packed comes back, and whatever else comes is one line and runs nothing."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from fullclip.preprocess.features import is_features, one_view, pack_features, unpack_features
from fullclip.preprocess.image import ImageError

VIEWS = np.linspace(-3, 3, 12, dtype=np.float32).reshape(3, 4)


def saved(array: np.ndarray, **options: bool) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def with_header(header: str, data: bytes = bytes(24)) -> bytes:
    """A .npy file of version 1 as its format is described, whatever the header says."""
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def of_shape(shape: str) -> bytes:
    return with_header(f"{{'descr': '<f2', 'fortran_order': False, 'shape': {shape}, }}")


@given(arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=st.floats(-60_000, 60_000, width=32)))
def test_what_was_packed_comes_back_in_half_precision(views):
    packed = pack_features(views)
    assert is_features(packed)
    found = unpack_features(packed, name="a")
    assert found.dtype == np.float32
    assert np.array_equal(found, views.astype(np.float16).astype(np.float32))
    assert packed == saved(views.astype(np.float16))


@pytest.mark.parametrize("bad", [70_000.0, -1e30, np.inf, np.nan])
def test_what_half_precision_cannot_hold_is_not_packed(bad):
    views = VIEWS.copy()
    views[1, 2] = bad
    with pytest.raises(ValueError, match=r"features up to \S+ do not fit into float16: scale them down"):
        pack_features(views)


class Payload:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_pickle_inside_is_not_run(tmp_path):
    hostile = np.empty((1, 4), dtype=object)
    hostile[0, 0] = Payload(tmp_path / "ran")
    data = saved(hostile, allow_pickle=True)
    pickle.loads(data[data.index(b"\x80") :]).item(0).close()
    assert (tmp_path / "ran").exists()  # it would
    (tmp_path / "ran").unlink()
    with pytest.raises(ImageError, match=r"^key: no whole \.npy file \(ValueError: Object arrays cannot be loaded"):
        unpack_features(data, name="key")
    assert not (tmp_path / "ran").exists()


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("a.npy", saved(VIEWS.astype(np.float16)))
    return file.getvalue()


NOT_FEATURES = {
    "float32": (saved(VIEWS), r"features are float16 \[views, width\], got float32 \[3, 4\]"),
    "whole numbers": (saved(VIEWS.astype(np.int16)), "got int16"),
    "one axis": (saved(VIEWS[0].astype(np.float16)), r"got float16 \[4\]"),
    "no view": (saved(VIEWS[:0].astype(np.float16)), r"got float16 \[0, 4\]"),
    "no number": (saved(VIEWS[:, :0].astype(np.float16)), r"got float16 \[3, 0\]"),
    "not finite": (saved(np.full((1, 3), np.nan, dtype=np.float16)), "no finite numbers"),
    "infinite": (saved(np.full((1, 3), np.inf, dtype=np.float16)), "no finite numbers"),
    "cut": (saved(VIEWS.astype(np.float16))[:-1], r"no whole \.npy file"),
    "empty": (b"", r"no whole \.npy file"),
    "an archive": (archive(), "features are float16"),
    "a signature alone": (b"\x93NUMPY", r"no whole \.npy file"),
    "a header that runs": (with_header("__import__('os').system('true')"), r"no whole \.npy file"),
    "a shape of terabytes": (of_shape(f"(1, {2**42})"), r"no whole \.npy file"),
    "a shape below zero": (of_shape("(-1, 3)"), r"(no whole|features are)"),
    "a long header": (with_header("{" + " " * 20_000 + "}"), r"no whole \.npy file"),
    "brackets": (with_header("(" * 9_000), r"no whole \.npy file"),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_FEATURES)
def test_anything_else_is_one_line(name):
    data, message = NOT_FEATURES[name]
    with pytest.raises(ImageError, match=rf"^key: [^\n]*{message}[^\n]*$") as error:
        unpack_features(data, name="key")
    assert "\n" not in str(error.value)


@given(st.data())
def test_damaged_files_are_refused_or_make_sense(data):
    good = bytearray(pack_features(VIEWS))
    for place in data.draw(st.lists(st.integers(0, len(good) - 1), min_size=1, max_size=4)):
        good[place] = data.draw(st.integers(0, 255))
    error = ""
    try:
        found = unpack_features(bytes(good), name="key")
    except ImageError as refused:
        error = str(refused)
    assert "\n" not in error
    assert error or (found.dtype == np.float32 and found.ndim == 2 and np.isfinite(found).all())


def test_every_view_has_its_turn_by_the_chance_it_is_given():
    data = pack_features(VIEWS)
    drawn = [one_view(data, np.random.default_rng(seed), name="a") for seed in range(300)]
    again = [one_view(data, np.random.default_rng(seed), name="a") for seed in range(300)]
    assert all(torch.equal(one, other) for one, other in zip(drawn, again, strict=True))
    assert {view.shape for view in drawn} == {(4, 1, 1)}
    expected = VIEWS.astype(np.float16).astype(np.float32)
    turns = [sum(np.array_equal(view[:, 0, 0], row) for view in drawn) for row in expected]
    assert sum(turns) == 300
    # 3 counts less their sum are 2 degrees of freedom; above 13.8 in one case of a thousand.
    assert sum((count - 100) ** 2 / 100 for count in turns) < 13.8


def test_a_picture_is_no_features():
    assert not is_features(b"\x89PNG\r\n\x1a\n" + bytes(20))
    assert not is_features(b"")
