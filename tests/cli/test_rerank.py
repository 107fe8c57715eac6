"""fullclip rerank as a user types it."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

import fullclip
from embedded import FILES, NUM, write_inputs, write_model, write_pictures
from fullclip.cli.rerank import rerank
from fullclip.search.candidates import Named
from fullclip.search.rerank import Reranker
from fullclip.search.scores import clip_score, ref_clip_score

CAPTION = "noise"  # to the untrained model all of the pictures are like it
app = typer.Typer()
app.command()(rerank)


def run(*words: object, given: str | None = None) -> tuple[int, str, str]:
    """(exit code, stdout, stderr or the error as it would be reported)."""
    result = CliRunner().invoke(app, [str(word) for word in words], input=given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return (2 if isinstance(result.exception, ValueError) else 1), result.stdout, str(result.exception)
    return result.exit_code, result.stdout, result.stderr


def told(*words: object, given: str | None = None) -> dict:
    code, said, notes = run(*words, "--json", given=given)
    assert code == 0, notes
    return json.loads(said)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return write_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> dict[str, str]:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def expected(model, given) -> dict[Path, float]:
    """The cosine of each picture."""
    encoder, paths = fullclip.load(model), sorted(Path(given["folder"]).rglob("*.png"))
    return dict(zip(paths, (encoder.encode_images(paths) @ encoder.encode_texts([CAPTION])[0]).tolist(), strict=True))


def best_of(expected: dict[Path, float]) -> list[Path]:
    return sorted(expected, key=lambda path: -expected[path])


def test_a_folder_in_the_order_of_its_scores(model, given, expected):
    found = told(CAPTION, given["folder"], "--model", model, "--top", 4)
    order = best_of(expected)[:4]
    assert [hit["image"] for hit in found["hits"]] == [str(path) for path in order]
    assert [hit["rank"] for hit in found["hits"]] == [1, 2, 3, 4]
    cosines = [expected[path] for path in order]
    assert [hit["cosine"] for hit in found["hits"]] == pytest.approx(cosines, abs=3e-6)
    assert min(cosines) > 0
    assert [hit["score"] for hit in found["hits"]] == pytest.approx([2.5 * one for one in cosines], abs=1e-5)
    assert (found["score"], found["images"], found["skipped"]) == ("CLIPScore", NUM, [])
    code, said, notes = run(CAPTION, given["folder"], "--model", model, "--top", 4)
    lines = said.splitlines()
    assert (code, lines[0].split()) == (0, ["rank", "CLIPScore", "image"])
    assert [line.split()[2] for line in lines[1:]] == [str(path) for path in order]
    assert "10 images ranked, 0 skipped" in notes


@pytest.mark.parametrize("kind", ["glob", "shards", "csv", "bytes", "hf"])
def test_every_kind_of_input_gives_the_same_scores(model, given, expected, kind):
    found = told(CAPTION, given[kind], "--model", model)
    cosines = [hit["cosine"] for hit in found["hits"]]
    assert cosines == pytest.approx(sorted(expected.values(), reverse=True), abs=3e-6)
    assert len({hit["image"] for hit in found["hits"]}) == NUM


def test_bad_files_are_named_and_never_the_end(model, tmp_path):
    paths = write_pictures(tmp_path, 3)
    paths[0].write_bytes(b"<html>")
    names = [*paths, *(path.with_suffix(".txt") for path in paths), tmp_path / "missing.png"]
    found = told(CAPTION, *names, "--model", model)
    assert sorted(hit["image"] for hit in found["hits"]) == [str(path) for path in paths[1:]]
    assert sorted(found["skipped"]) == sorted(
        [
            f"no such file: {tmp_path / 'missing.png'}",
            *(f"not an image: {path.with_suffix('.txt')}" for path in paths),
            f"unreadable image: {paths[0]}: not an image that Pillow can read",
        ]
    )
    code, _, notes = run(CAPTION, *names, "--model", model)
    assert code == 0
    assert f"skipped: no such file: {tmp_path / 'missing.png'}" in notes
    assert "2 images ranked, 5 skipped" in notes


def test_nothing_to_rank_is_wrong_use(model, tmp_path):
    code, _, said = run(CAPTION, tmp_path / "missing.png", "--model", model)
    assert (code, said) == (2, f"none of the images could be read; no such file: {tmp_path / 'missing.png'}")
    code, _, said = run(CAPTION, tmp_path, "--model", model)
    assert code == 2
    assert "no images" in said


def test_a_list_on_stdin(model, given, expected):
    names = "\n".join(str(path) for path in [*expected][:3])
    assert told(CAPTION, "-", "--model", model, given=names + "\n\n")["images"] == 3


def test_templates_other_captions_and_references(model, given):
    encoder, paths = fullclip.load(model), sorted(Path(given["folder"]).rglob("*.png"))
    words = ("pipe organ", given["folder"], "--model", model, "--also", "cliff", "--template", "A photo depicts {}")
    found = told(*words, "--template", "{}", "--references", "grey dots", "--references", "a bench")
    prompts = [[f"A photo depicts {one}", one] for one in ("pipe organ", "cliff", "grey dots", "a bench")]
    caption, *references = (
        encoder.encode_texts(group).mean(axis=0) for group in (prompts[0] + prompts[1], prompts[2], prompts[3])
    )
    images = encoder.encode_images(paths)
    scores = dict(zip(map(str, paths), ref_clip_score(images, caption, np.stack(references)), strict=True))
    plain = dict(zip(map(str, paths), clip_score(images, caption), strict=True))
    assert min(scores.values()) > 0
    assert found["score"] == "RefCLIPScore"
    assert found["captions"] == ["pipe organ", "cliff"]
    for hit in found["hits"]:
        assert hit["score"] == pytest.approx(scores[hit["image"]], abs=1e-5)
        assert hit["clip_score"] == pytest.approx(plain[hit["image"]], abs=1e-5)


def test_diversity_pushes_copies_down(model, given, expected, tmp_path):
    best = best_of(expected)[0]
    for i in range(8):
        (tmp_path / f"copy{i}.png").write_bytes(best.read_bytes())
    words = (CAPTION, given["folder"], tmp_path, "--model", model, "--top", 4)
    plain, diverse = told(*words), told(*words, "--diversity", 0.6)
    assert [hit["image"] for hit in plain["hits"]] == [str(best), *(str(tmp_path / f"copy{i}.png") for i in range(3))]
    images = [hit["image"] for hit in diverse["hits"]]
    assert images[0] == str(best)
    assert not [one for one in images if "copy" in one]


@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_the_best_are_copied_and_drawn(model, given, expected, tmp_path, kind):
    found = told(
        CAPTION, given[kind], "--model", model, "--top", 3, "--copy-to", tmp_path / "best", "--grid", tmp_path / "grid.png"
    )
    order = [FILES[int(path.stem)] for path in best_of(expected)[:3]]
    copies = sorted((tmp_path / "best").iterdir())
    assert [path.read_bytes() for path in copies] == order
    assert [hit["copy"] for hit in found["hits"]] == [str(path) for path in copies]
    assert [path.name for path in copies] == [f"{i}-{path.stem}.png" for i, path in enumerate(best_of(expected)[:3], 1)]
    reranker = Reranker(fullclip.load(model), CAPTION, top=3)
    reranker.add(
        Named(key=Path(hit["image"].replace(":", "/")).name, image=file) for hit, file in zip(found["hits"], order, strict=True)
    )
    with Image.open(tmp_path / "grid.png") as sheet:
        assert sheet.format == "PNG"
        np.testing.assert_array_equal(np.asarray(sheet), np.asarray(reranker.contact_sheet()))


def test_a_copys_name_is_a_name_of_a_file(model, tmp_path):
    names = ["a b;c.png", "..hidden.png", "ünï 猫.png", f"{'x' * 200}.png"]
    for name, file in zip(names, FILES, strict=False):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(file)
    as_jpeg = io.BytesIO()
    Image.new("RGB", (9, 9)).save(as_jpeg, "JPEG")
    (tmp_path / "in" / "jpeg.png").write_bytes(as_jpeg.getvalue())
    told(CAPTION, tmp_path / "in", "--model", model, "--copy-to", tmp_path / "out")
    found = sorted(path.name.partition("-")[2] for path in (tmp_path / "out").iterdir())
    assert found == sorted(["a_b_c.png", "..hidden.png", "ünï_猫.png", f"{'x' * 96}.png", "jpeg.jpg"])


def test_a_long_caption_is_cut_where_that_is_wished(model, given):
    assert run("word " * 400, given["folder"], "--model", model)[0] == 2
    assert told("word " * 400, given["folder"], "--model", model, "--truncate")["images"] == NUM


@pytest.mark.skipif(os.name == "nt", reason="names of files are bytes")
def test_a_name_that_is_no_text_is_shown(model, tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.png"
    with open(path, "wb") as file:
        file.write(FILES[0])
    found = told(CAPTION, tmp_path, "--model", model)
    assert found["hits"][0]["image"].endswith("caf\N{REPLACEMENT CHARACTER}.png")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("", "x.png"), "a caption is empty"),
        ((CAPTION, ""), "empty name"),
        ((CAPTION, "x.png", "--template", "none"), "has no {}"),
        ((CAPTION, "x.png", "--references", " "), "a reference is empty"),
        ((CAPTION, "x.png", "--grid", "."), "is a folder: --grid takes a file"),
        ((CAPTION, "x.png", "--grid", "g.png", "--top", 1000), "--grid draws 512 pictures at most"),
        ((CAPTION, "x.png", "--copy-to", "."), "takes a new folder"),
        ((CAPTION, "x.png", "--model", "no/such"), "no/such"),
    ],
)
def test_wrong_use_is_one_line_before_anything_is_done(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    Path("kept").write_text("")
    Path("x.png").write_bytes(FILES[0])
    code, out, error = run(*words)
    assert (code, out) == (2, "")
    assert said in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "x.png"]


@pytest.mark.parametrize("words", [("--top", 0), ("--diversity", 2), ("--diversity", -1)])
def test_numbers_out_of_range_are_refused(words):
    assert run(CAPTION, "x.png", *words)[0] == 2


def test_a_caption_that_is_too_long_says_what_to_type(model, given):
    words = ("word " * 100, given["folder"], "--model", model)
    code, out, error = run(*words)
    assert (code, out, error.endswith("shorten it or add --truncate"), "=True" in error) == (2, "", True, False)
    assert run("word", given["folder"], "--model", model, "--references", "word " * 100)[2].endswith("add --truncate")
    assert run(*words, "--truncate")[0] == 0


def test_one_image_is_no_plural(model, tmp_path):
    (tmp_path / "a\x1b[31m\n.png").write_bytes(FILES[0])
    (tmp_path / "one.heic").write_bytes(b"")
    code, said, notes = run(CAPTION, tmp_path, "--model", model)
    assert (code, len(said.splitlines())) == (0, 2)
    assert "a\\x1b[31m\\n.png" in said
    assert "1 image ranked, 1 skipped" in notes
    assert "skipped: picture in a format that is not read (convert it to JPEG or PNG): " in notes


def test_an_empty_list_is_said_to_be(model):
    assert run(CAPTION, "-", "--model", model, given="\n")[::2] == (2, "no images to rank: the list on stdin is empty")
