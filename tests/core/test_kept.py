"""A file of a cache comes back whole, or not at all."""

import numpy as np
import pytest

from fullclip.core.kept import read_kept, write_kept

TOLD = {"keys": ["a", "é"], "drops": {"torn": [1, ["x"]]}}


def test_what_is_kept_comes_back(tmp_path):
    rows = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    write_kept(tmp_path / "deep/one.npz", TOLD, rows=rows, names=np.array(["x", "ü"]))
    told, arrays = read_kept(tmp_path / "deep/one.npz")
    assert told == TOLD
    assert arrays.keys() == {"rows", "names"}
    np.testing.assert_array_equal(arrays["rows"], rows)
    assert read_kept(tmp_path / "two.npz") is None


@pytest.mark.faults
def test_a_file_that_was_cut_or_changed_anywhere_is_not_there(tmp_path):
    path = tmp_path / "one.npz"
    write_kept(path, TOLD, rows=np.arange(500.0))
    whole = path.read_bytes()
    for end in range(0, len(whole), 97):
        path.write_bytes(whole[:end])
        assert read_kept(path) is None
    for place in range(200, len(whole) - 500, 211):  # within the arrays, which have check sums
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        found = read_kept(path)
        assert found is None or (found[0] == TOLD and (found[1]["rows"] == np.arange(500.0)).all())
