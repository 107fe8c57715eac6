"""Any number of images and texts: generators in, batches or a given array out; what fails on the way loses nothing."""

import io

import numpy as np
import pytest
from PIL import Image

import peers
import tiny
from fullclip.inference import Encoder
from fullclip.preprocess.image import REDUCED_TOLERANCE, ImageError, PreprocessConfig, decode_image, eval_transform

ENCODER = tiny.tiny_encoder()


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def small_batches(**options) -> Encoder:
    return Encoder(ENCODER.clip, preprocess=ENCODER.preprocess, tokenizer=ENCODER.tokenizer, batch_size=4, **options)


def test_a_generator_gives_what_a_list_gives():
    expected = small_batches().encode_images([picture(seed) for seed in range(11)])
    assert np.array_equal(small_batches().encode_images(picture(seed) for seed in range(11)), expected)
    parts = list(small_batches().stream_images(picture(seed) for seed in range(11)))
    assert [part.indices for part in parts] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert np.array_equal(np.concatenate([part.embeddings for part in parts]), expected)
    assert small_batches().encode_images(iter([])).shape == (0, 32)


def test_texts_from_a_generator(monkeypatch):
    texts = [f"a photo of {'a very ' * (n % 5)}thing {n % 7}" for n in range(40)]
    expected = ENCODER.encode_texts(texts)
    monkeypatch.setattr("fullclip.inference.encoder._TEXTS_AT_ONCE", 16)
    assert [len(part) for part in ENCODER.stream_texts(iter(texts))] == [16, 16, 8]
    np.testing.assert_allclose(ENCODER.encode_texts(iter(texts)), expected, atol=1e-6)
    with pytest.raises(ValueError, match="takes a list of texts"):
        next(ENCODER.stream_texts("a dog"))


def test_into_a_file(tmp_path):
    images, texts = [picture(seed) for seed in range(6)], ["a dog", "a cat", "a dog"]
    out = np.lib.format.open_memmap(tmp_path / "rows.npy", mode="w+", dtype=np.float32, shape=(8, 32))
    filled = ENCODER.encode_images(iter(images), out=out)
    assert np.shares_memory(filled, out)
    out.flush()
    assert np.array_equal(np.load(tmp_path / "rows.npy")[:6], ENCODER.encode_images(images))
    assert not np.load(tmp_path / "rows.npy")[6:].any()
    half = np.zeros((3, 32), dtype=np.float16)
    np.testing.assert_allclose(ENCODER.encode_texts(texts, out=half), ENCODER.encode_texts(texts), atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((2, 32), r"out has 2 rows, and there are more: at least 4"), ((9, 31), r"out is \[9, 31\]: \[n, 32\]")],
)
def test_an_array_that_does_not_fit(shape, message):
    with pytest.raises(ValueError, match=message):
        small_batches().encode_images([picture(seed) for seed in range(4)], out=np.zeros(shape, dtype=np.float32))


def test_no_more_is_read_ahead_than_is_said():
    """What is taken from the generator, when a batch comes out: that batch, the next, and one image."""
    taken = []

    def images():
        for seed in range(100):
            taken.append(seed)
            yield picture(seed)

    parts = small_batches().stream_images(images())
    for number in range(1, 6):
        next(parts)
        assert 4 * number <= len(taken) <= 4 * number + 5
    parts.close()
    assert len(taken) <= 25


@pytest.mark.faults
def test_a_generator_that_fails():
    """What it gave comes out first; then one error, that says after how many."""

    def images(number: int):
        yield from map(picture, range(number))
        raise KeyError("no more")

    def places(number: int):
        for part in small_batches().stream_images(images(number)):
            found.extend(part.indices)

    for number in (0, 3, 4, 6, 9):
        found = []
        with pytest.raises(ValueError, match=rf"generator failed after {number}: KeyError: 'no more'"):
            places(number)
        assert found == list(range(number))
        with pytest.raises(ValueError, match=f"failed after {number}"):
            small_batches().encode_images(images(number))


def test_bad_ones_among_good_ones(tmp_path):
    good, bad = tmp_path / "good.png", tmp_path / "bad.jpg"
    Image.fromarray(picture(0)).save(good)
    bad.write_bytes(good.read_bytes()[:60])
    mixed = [good, bad, str(good), tmp_path / "missing.png", good, np.zeros((3, 3)), good]
    parts = list(small_batches().stream_images(iter(mixed)))
    assert [index for part in parts for index in part.indices] == [0, 2, 4, 6]
    failed = [(index, str(error)) for part in parts for index, error in part.failed]
    assert [index for index, _ in failed] == [1, 3, 5]
    for (_, said), name in zip(
        failed, (str(bad), "missing.png: no such file", "image 5: an image array is uint8"), strict=True
    ):
        assert name in said
    with peers.unchecked():
        embeddings, kept, errors = small_batches().encode_readable_images([good, None, 5])
    assert (kept, len(errors), embeddings.shape) == ([0], 2, (1, 32))


def test_the_first_bad_one_ends_it_at_once():
    taken = []

    def images():
        for seed in range(100):
            taken.append(seed)
            yield b"rubbish" if seed == 5 else picture(seed)

    with pytest.raises(ImageError, match="these bytes: not an image"):
        small_batches().encode_images(images())
    assert len(taken) < 20


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"decoding": "quick"}])
def test_settings_that_are_refused(options):
    with peers.unchecked(), pytest.raises(ValueError, match=r"batch_size is 0: at least 1|decoding 'quick': exact or fast"):
        Encoder(ENCODER.clip, **({"preprocess": ENCODER.preprocess, "tokenizer": None} | options))


# Fast decoding


def jpeg(width: int, height: int, **options) -> bytes:
    """Waves of many lengths in three colours."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    waves = [np.sin(40 * (k + 1) * (x + y * k) ** 2) + np.cos(9 * k * y) for k in range(3)]
    pixels = np.stack([(wave + 2) / 4 * 255 for wave in waves], axis=-1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90, **options)
    return file.getvalue()


@pytest.mark.parametrize(("size", "read"), [((1600, 1200), (800, 600)), ((4000, 3000), (1000, 750)), ((900, 880), (900, 880))])
def test_a_large_jpeg_is_read_at_a_fraction_of_its_size(size, read):
    data = jpeg(*size)
    assert decode_image(data).size == size
    assert decode_image(data, short_side=224).size == read
    transform = eval_transform(PreprocessConfig(mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255)))
    exact, reduced = (transform(decode_image(data, short_side=side)) for side in (None, 224))
    difference = (exact - reduced).abs().mean().item()
    assert difference <= REDUCED_TOLERANCE
    assert (difference == 0) == (size == read)


def test_only_large_jpegs_are_read_otherwise(tmp_path):
    Image.fromarray(np.zeros((900, 1200, 3), np.uint8)).save(tmp_path / "large.png")
    assert decode_image(tmp_path / "large.png", short_side=32).size == (1200, 900)
    on_its_side = Image.Exif()
    on_its_side[0x0112] = 6
    data = jpeg(1200, 900, exif=on_its_side)
    assert decode_image(data, short_side=100).size == (225, 300)  # upright


def test_an_encoder_that_reads_them_so():
    data, plain = jpeg(1600, 1200), small_batches()
    exact, reduced = plain.encode_images([data]), small_batches(decoding="fast").encode_images([data])
    assert (exact * reduced).sum() > 0.999
    assert not np.array_equal(exact, reduced)
    assert np.array_equal(exact, plain.encode_images([data]))
