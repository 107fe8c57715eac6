"""Images that other processes read: the same rows in the same order, the same errors, and an end where one is killed."""

import os
import signal
from functools import partial

import numpy as np
import pytest
from PIL import Image

import tiny
from fullclip.core.pools import end, process_pool


@pytest.fixture(scope="module")
def decoders():
    pool = process_pool(2)
    yield pool
    end(pool)


def pictures(folder, number=45):
    random = np.random.default_rng(0)
    paths = [folder / f"{i}.png" for i in range(number)]
    for path in paths:
        Image.fromarray(random.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path)
    return paths


def test_processes_give_what_threads_give(tmp_path, decoders):
    paths = pictures(tmp_path)
    paths[3].write_bytes(b"nothing")
    paths[40].unlink()
    mixed = [*paths, paths[0].read_bytes(), Image.open(paths[1]), np.zeros((9, 9, 3), dtype=np.uint8), np.zeros(3)]
    encoder = tiny.tiny_encoder()
    here = encoder.encode_readable_images(mixed)
    encoder.decoders = decoders
    there = encoder.encode_readable_images(mixed)
    np.testing.assert_array_equal(there[0], here[0])
    assert there[1] == here[1] == [i for i in range(len(mixed)) if i not in (3, 40, 48)]
    assert [str(error) for error in there[2]] == [str(error) for error in here[2]]


def test_fast_decoding_is_told_to_them(tmp_path, decoders):
    path = tmp_path / "large.jpg"
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((640, 480)).save(path)
    exact, fast = (tiny.tiny_encoder(decoding=decoding) for decoding in ("exact", "fast"))
    here = fast.encode_images([path])
    fast.decoders = decoders
    np.testing.assert_array_equal(fast.encode_images([path]), here)
    assert not np.array_equal(here, exact.encode_images([path]))


def test_a_generator_that_fails_is_told_as_ever(tmp_path, decoders):
    paths = pictures(tmp_path, 20)

    def broken():
        yield from paths
        raise KeyError("torn")

    encoder = tiny.tiny_encoder()
    encoder.decoders = decoders
    with pytest.raises(ValueError, match="the images' generator failed after 20: KeyError"):
        encoder.encode_images(broken())


@pytest.mark.faults
def test_a_killed_process_is_one_line(tmp_path):
    encoder = tiny.tiny_encoder()
    encoder.decoders = pool = process_pool(1)
    pool.submit(partial(os.kill, os.getpid(), 0)).result()
    [worker] = pool._processes
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(OSError, match="a process that decodes images was killed"):
        encoder.encode_images(pictures(tmp_path, 40))
    end(pool)
