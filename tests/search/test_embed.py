"""Embedding as a function: every input kind, both formats, going on, and what is refused."""

import json
import shutil
import socket
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

import fullclip
from embedded import CAPTIONS, FILES, NUM, contents, read_back, write_inputs, write_model, write_pictures
from fullclip.search import units
from fullclip.search.embed import embed
from fullclip.search.engines import Local
from fullclip.search.jobs import Layout, ModelChoice
from loopback import serving
from pairs import picture, write_tar
from stores import s3_store


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return write_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> dict[str, str]:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def choice(model) -> ModelChoice:
    return ModelChoice(name=model, precision="float32", batch_size=3)


@pytest.fixture(scope="module")
def encoder(choice) -> fullclip.Encoder:
    return engine_of(choice).encoder


@pytest.fixture(scope="module")
def expected(encoder, given) -> tuple[np.ndarray, np.ndarray]:
    """The embeddings of the pictures and of all captions, in order."""
    paths = sorted(Path(given["folder"]).rglob("*.png"))
    texts = [caption for path in paths for caption in CAPTIONS[int(path.stem)]]
    return encoder.encode_images(paths), encoder.encode_texts(texts)


@pytest.fixture(autouse=True)
def _small_units(monkeypatch):
    monkeypatch.setattr(units, "UNIT_SIZE", 4)


engine_of = lru_cache(maxsize=1)(Local)  # a model that is opened once


def run(inputs, out, choice, **layout):
    inputs = [inputs] if isinstance(inputs, str) else inputs
    return embed([str(one) for one in inputs], str(out), engine=engine_of(choice), choice=choice, layout=Layout(**layout))


@pytest.mark.parametrize("kind", ["folder", "glob", "shards", "csv", "jsonl", "paths", "bytes", "hf"])
@pytest.mark.parametrize("file_format", ["parquet", "npy"])
def test_every_kind_of_input_gives_what_the_encoder_gives(given, choice, expected, tmp_path, kind, file_format):
    told = run(given[kind], tmp_path / "out", choice, what="both", format=file_format)
    assert (told.images, told.texts, told.skipped) == (NUM, 2 * NUM, {})
    assert told.parts > 1
    names, images = read_back(tmp_path / "out", "images")
    captions, texts = read_back(tmp_path / "out", "texts")
    np.testing.assert_allclose(images, expected[0], atol=1e-6)
    np.testing.assert_allclose(texts, expected[1], atol=1e-6)
    assert images.dtype == texts.dtype == np.float32
    order = [int(path.stem) for path in sorted(Path(given["folder"]).rglob("*.png"))]
    assert [row["caption"] for row in captions] == [caption for i in order for caption in CAPTIONS[i]]
    assert [row["key"] for row in captions] == [row["key"] for row in names for _ in range(2)]
    if kind == "bytes":
        assert [row["key"] for row in names] == [str(i) for i in range(NUM)]
    else:
        assert [int(Path(row["key"]).stem) for row in names] == order
    assert all(Path(row["path"]).is_file() for row in names)


@pytest.mark.parametrize("kind", ["folder", "shards", "csv", "hf", "bytes"])
def test_texts_alone_are_the_same_texts(given, choice, tmp_path, kind):
    both, alone = tmp_path / "both", tmp_path / "alone"
    run(given[kind], both, choice, what="both")
    told = run(given[kind], alone, choice, what="texts")
    assert (told.images, told.texts) == (0, 2 * NUM)
    assert not (alone / "images").exists()
    assert contents(both / "texts") == contents(alone / "texts")


def test_an_input_is_found_on_s3_and_written_to_s3(given, choice, expected, tmp_path):
    with s3_store("bucket"):
        import fsspec

        files = fsspec.filesystem("s3")
        for kind in ("folder", "shards"):
            files.put(given[kind], f"bucket/{Path(given[kind]).name}", recursive=True)
        for kind in ("csv", "hf"):
            files.put(given[kind], f"bucket/{Path(given[kind]).name}")
        out = "s3://bucket/out"
        for name in ("pictures", "shards", "shards/{000000..000002}.tar", "table.csv", "hf.parquet"):
            assert run(f"s3://bucket/{name}", out, choice).images == NUM
            copy = tmp_path / "copy"
            files.get(out, str(copy), recursive=True)
            np.testing.assert_allclose(read_back(copy, "images")[1], expected[0], atol=1e-6)
            shutil.rmtree(copy)
            files.rm(out, recursive=True)
        assert run("s3://bucket/pictures/*/*.png", out, choice, what="both").texts == 2 * NUM
        files.rm(f"{out}/texts/000001.parquet")
        again = run("s3://bucket/pictures/*/*.png", out, choice, what="both")
        assert (again.resumed, again.parts) == (2, 3)
        files.rm("bucket/pictures/b/009.png")
        with pytest.raises(ValueError, match=r"another input: s3://bucket/pictures/b/007.png stood where|changed"):
            run("s3://bucket/pictures/*/*.png", out, choice, what="both")


def test_lines_of_a_file_are_texts(choice, encoder, tmp_path):
    lines = [f"words {i}" for i in "abcdefghi"]
    file = tmp_path / "lines.txt"
    file.write_bytes(b"\xef\xbb\xbf" + "\n".join([*lines[:5], "", *lines[5:]]).encode() + b"\n\xff\n")
    told = run(str(file), tmp_path / "out", choice, what="texts")
    assert (told.texts, told.parts) == (9, 3)
    assert told.skipped == {"empty line": 1, "broken text": 1}
    rows, vectors = read_back(tmp_path / "out", "texts")
    np.testing.assert_allclose(vectors, encoder.encode_texts(lines), atol=1e-6)
    assert [row["key"] for row in rows] == ["1", "2", "3", "4", "5", "7", "8", "9", "10"]
    with pytest.raises(ValueError, match="add --what texts"):
        run(str(file), tmp_path / "other", choice)


def test_half_is_the_same_rounded(given, choice, expected, tmp_path):
    for file_format in ("parquet", "npy"):
        run(given["folder"], tmp_path / file_format, choice, half=True, format=file_format)
        vectors = read_back(tmp_path / file_format, "images")[1]
        assert vectors.dtype == np.float16
        np.testing.assert_array_equal(vectors, expected[0].astype(np.float16))


def test_what_cannot_be_read_is_named_and_the_others_stay_in_order(choice, encoder, tmp_path):
    paths = write_pictures(tmp_path / "pictures")
    paths[1].write_bytes(b"no picture")
    paths[6].write_bytes(FILES[0][:100])
    (tmp_path / "pictures/a/link.png").symlink_to("nowhere.png")
    told = run(str(tmp_path / "pictures"), tmp_path / "out", choice)
    assert told.skipped == {"unreadable image": 3}
    good = [path for i, path in enumerate(paths) if i not in (1, 6)]
    rows, vectors = read_back(tmp_path / "out", "images")
    assert [row["path"] for row in rows] == [str(path) for path in good]
    np.testing.assert_allclose(vectors, encoder.encode_images(good), atol=1e-6)
    lines = [
        json.loads(line) for part in sorted((tmp_path / "out/skipped").iterdir()) for line in part.read_text().splitlines()
    ]
    named = [line["name"].partition(": ")[0] for line in lines]
    assert named == [str(paths[1]), str(tmp_path / "pictures/a/link.png"), str(paths[6])]


def test_shards_with_holes_and_a_torn_one(choice, encoder, tmp_path):
    whole = write_tar(
        tmp_path / "a.tar",
        [
            ("0.png", FILES[0]),
            ("1.png", FILES[1]),
            ("1.txt", b"one"),
            ("2.txt", b"two"),
            ("3.png", b"nothing"),
            ("4.png", FILES[4]),
            ("4.json", b"{broken"),
        ],
    )
    cut = write_tar(tmp_path / "b.tar", [(f"{i}.png", picture(i, size=(64, 64))) for i in range(5, 8)])
    Path(cut).write_bytes(Path(cut).read_bytes()[:-20_000])
    told = run([whole, cut], tmp_path / "out", choice, what="both")
    rows, vectors = read_back(tmp_path / "out", "images")
    assert [row["key"] for row in rows][:3] == ["0", "1", "4"]
    np.testing.assert_allclose(vectors[:3], encoder.encode_images([FILES[0], FILES[1], FILES[4]]), atol=1e-6)
    assert [(row["key"], row["caption"]) for row in read_back(tmp_path / "out", "texts")[0]] == [("1", "one"), ("2", "two")]
    assert told.skipped["torn shard"] == told.skipped["sample without image"] == told.skipped["unreadable image"] == 1
    assert told.skipped["broken text"] == 1


def test_the_same_again_goes_on_and_parts_that_were_damaged_are_made_anew(given, choice, tmp_path):
    out = tmp_path / "out"
    first = run(given["folder"], out, choice)
    made = contents(out)
    assert run(given["folder"], out, choice).resumed == first.parts == 3
    (out / "images/000001.parquet").unlink()
    (out / "images/000002.parquet").write_bytes(b"short")
    (out / "parts/000000.json").write_text("{")
    (out / "images/.000000.parquet.partial-1").write_bytes(b"of a killed process")
    again = run(given["folder"], out, choice)
    assert (again.resumed, again.parts, again.images) == (0, 3, NUM)
    assert contents(out) == made


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"half": True}, "layout.half False, and now it is True"),
        ({"format": "npy"}, "layout.format 'parquet', and now it is 'npy'"),
        ({"what": "texts"}, "layout.what 'images', and now it is 'texts'"),
    ],
)
def test_another_layout_is_refused(given, choice, tmp_path, change, message):
    run(given["folder"], tmp_path / "out", choice)
    with pytest.raises(ValueError, match=message):
        run(given["folder"], tmp_path / "out", choice, **change)


def test_another_input_or_model_is_refused(given, choice, tmp_path):
    pictures = tmp_path / "pictures"
    paths, out = write_pictures(pictures), tmp_path / "out"
    run(str(pictures), out, choice)
    paths[7].write_bytes(picture(99))
    with pytest.raises(ValueError, match=rf"another input: files from {paths[4]} changed; give another --out, or remove"):
        run(str(pictures), out, choice)
    (pictures / "a/0.png").write_bytes(picture(5))
    with pytest.raises(ValueError, match="another input"):
        run(str(pictures), out, choice)
    with pytest.raises(ValueError, match=r"another input: .* stood where now"):
        run(given["shards"], out, choice)
    other = shutil.copytree(choice.name, tmp_path / "tiny")
    settings = json.loads((other / "fullclip.json").read_text())
    settings["preprocess"]["mean"] = [0.5, 0.5, 0.5]
    (other / "fullclip.json").write_text(json.dumps(settings))
    for changed, message in (
        (ModelChoice(name=str(other), precision="float32"), f"begun with the model {choice.name}, and {other} is another"),
        (replace(choice, decoding="fast"), "begun with model.decoding 'exact', and now it is 'fast'"),
    ):
        with pytest.raises(ValueError, match=message):
            run(str(pictures), out, changed)


def test_what_an_output_folder_cannot_be(given, choice, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="is a file; give a folder with --out"):
        run(given["folder"], tmp_path / "file", choice)
    with pytest.raises(ValueError, match="holds other files, such as file; give a new folder"):
        run(given["folder"], tmp_path, choice)
    out = tmp_path / "out"
    run(given["folder"], out, choice)
    (out / "embed.json").write_text("{}")
    with pytest.raises(ValueError, match=r"embed.json is damaged"):
        run(given["folder"], out, choice)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "nothing to embed; name images"),
        ([""], "empty name"),
        (["nowhere"], "nowhere: no such file or folder"),
        (["nowhere/*.jpg"], "no such file or folder"),
        (["nowhere.tar"], "no .tar files match"),
        (["nowhere.csv"], "no .csv files match"),
        (["EMPTY"], "no images, shards or tables in this folder"),
        (["MIXED"], "holds images and shards; name which"),
        (["NAMELESS/t.csv"], "no column of images among"),
        (
            ["BAD"],
            r"nothing could be read; all was skipped .*, as .*a.png: not an image that Pillow can read \(unreadable image\)",
        ),
    ],
)
def test_inputs_that_are_none_are_one_line(choice, tmp_path, inputs, message):
    for name in ("EMPTY", "MIXED", "NAMELESS", "BAD"):
        (tmp_path / name).mkdir()
    (tmp_path / "MIXED/a.png").write_bytes(FILES[0])
    write_tar(tmp_path / "MIXED/a.tar", [("0.png", FILES[0])])
    (tmp_path / "NAMELESS/t.csv").write_text("a,b\n1,2\n")
    (tmp_path / "BAD/a.png").write_bytes(b"x")
    with pytest.raises(ValueError, match=message):
        run([str(tmp_path / one) if one else one for one in inputs], tmp_path / "out", choice)


def test_texts_longer_than_the_context_are_cut_and_counted(choice, encoder, tmp_path):
    file = tmp_path / "lines.txt"
    file.write_text("short\n" + "long words " * 60)
    assert run(str(file), tmp_path / "out", choice, what="texts").truncated == 1
    vectors = read_back(tmp_path / "out", "texts")[1]
    np.testing.assert_allclose(vectors, encoder.encode_texts(["short", "long words " * 60], truncate=True), atol=1e-6)


def test_paths_as_they_were_typed_are_keys(given, choice, tmp_path, monkeypatch):
    monkeypatch.chdir(Path(given["folder"]).parent)
    for number, inputs in enumerate((["pictures"], ["pictures/*/*.png"], ["./pictures/a", "pictures/b/"])):
        run(inputs, tmp_path / str(number), choice)
        rows = read_back(tmp_path / str(number), "images")[0]
        assert rows[0] == {"key": "pictures/a/000.png", "path": f"{given['folder']}/a/000.png"}
        assert rows[-1]["key"] == "pictures/b/009.png"


@dataclass
class Files:
    """A folder for `loopback.serving`."""

    folder: Path
    url: str

    def answer(self, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        file = self.folder / path.lstrip("/")
        return (200, {}, file.read_bytes()) if file.is_file() else (404, {}, b"")


def test_an_input_on_the_web(given, choice, expected, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with serving(Files(Path(given["folder"]).parent, url)):
        for number, name in enumerate(("shards", "shards/{000000..000002}.tar", "paths.parquet")):
            assert run(f"{url}/{name}", tmp_path / str(number), choice).images == NUM
            np.testing.assert_allclose(read_back(tmp_path / str(number), "images")[1], expected[0], atol=1e-6)
        told = run(f"{url}/pictures/a/{{000..002}}.png", tmp_path / "range", choice)
        assert (told.images, told.skipped) == (2, {"unreadable image": 1})
        with pytest.raises(ValueError, match="no such file or folder"):
            run(f"{url}/nowhere.png", tmp_path / "none", choice)
