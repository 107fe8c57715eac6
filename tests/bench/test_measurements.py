"""Every row on the tiny preset; the peers compute what ours computes; who is not installed is said."""

import os
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from fullclip.bench import decoding, exported, files, first_answer, machine
from fullclip.bench.classifier import notebook
from fullclip.bench.comparing import lowest_cosine
from fullclip.bench.measurements import MEASUREMENTS, Measurement, chosen, measure
from fullclip.bench.peers import Absent, AbsentError, module, open_peers
from fullclip.bench.pictures import LARGE, SMALL, jpegs
from fullclip.bench.rows import Row
from fullclip.bench.sentences import eighty, padded, prompts, spread
from fullclip.bench.subject import check_name, open_subject
from fullclip.bench.texts import in_batches
from fullclip.bench.workbench import FULL, Sizes, Workbench
from fullclip.inference import load
from fullclip.preprocess.image import PreprocessConfig
from fullclip.zeroshot.classifier import class_weights

FEW = Sizes(
    side=64,
    batch=4,
    batches=(1, 2),
    classes=2,
    their_prompts=8,
    classifier_classes=2,
    their_classes=1,
    jpegs=4,
    photographs=1,
    pairs=8,
    streamed=(2, 4),
    ways=(),
    seconds=0.0,
)
ELSEWHERE = ("first-answer", "memory", "exported")  # cold processes and files that take long: each on its own below


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Workbench:
    pytest.importorskip("transformers")
    return Workbench(model="tiny", folder=tmp_path_factory.mktemp("bench"), rounds=2, sizes=FEW)


def test_all_rows_of_the_tiny_preset(bench):
    said = list[str]()
    names = [name for name in MEASUREMENTS if name not in ELSEWHERE]
    rows = measure(names, bench, say=said.append)
    assert list(dict.fromkeys(row.part for row in rows)) == names
    assert [line.partition(":")[0] for line in said] == names
    assert all(np.isfinite(value) and value > 0 for row in rows for value in row.ours + row.theirs)
    beside = {row.part for row in rows if row.beside == "transformers" and row.theirs}
    assert beside == {"images", "texts", "tokenizer", "classifier", "decoding", "files"}
    embedded = [row.cosine for row in rows if row.theirs and row.part in ("images", "texts", "classifier", "files")]
    assert len(embedded) >= 4
    assert all(cosine > 0.99 for cosine in embedded)
    assert [row.what for row in rows if row.part == "batches"] == ["image tower, batch 1", "image tower, batch 2"]


def test_a_random_model_is_asked_for_no_answers(bench):
    rows = list(MEASUREMENTS["agreement"].rows(bench))
    assert [row.unit for row in rows] == ["lowest cosine"] * 2
    assert all(row.ours[0] > 0.99 for row in rows)


def test_peers_compute_the_same_in_float32(bench):
    """Otherwise the comparison would be void: pixels, texts, a class, files."""
    subject, peer = bench.subject, bench.peers[0]
    full = load(subject.path, precision="float32")
    exact = replace(subject, encoder=full)
    pixels = bench.pixels(4)
    assert lowest_cosine(exact.encode_images(pixels).numpy(), peer.encode_images(pixels).numpy()) > 0.999
    sentences = spread(prompts(2), 40)
    assert full.tokenizer is not None
    theirs = in_batches(peer, padded(full.tokenizer, sentences, full.device))
    assert lowest_cosine(full.encode_texts(sentences), theirs.numpy()) > 0.999
    names = ["tench", "jay"]
    ours = class_weights(full, [(name,) for name in names], eighty())
    assert lowest_cosine(ours, notebook(peer, full.tokenizer, names, full.device)) > 0.999
    paths = files.written(bench.folder / "again", 3)
    found = files.theirs(peer, files._processor(peer), paths, full.device)
    assert lowest_cosine(full.encode_images(paths), found.numpy()) > 0.999


def test_both_sides_of_decoding_give_the_same_pixels():
    transformers = pytest.importorskip("transformers")
    given = jpegs(2, SMALL)
    ours = torch.stack(decoding.ours(given, decoding.exact))
    theirs = torch.stack([torch.as_tensor(pixels) for pixels in decoding.theirs(transformers.CLIPImageProcessor(), given)])
    assert (ours - theirs).abs().max() < 2.5 / 255 / min(PreprocessConfig().std)


def test_pictures_have_their_size_and_are_always_the_same():
    import io

    from PIL import Image

    assert jpegs(2, SMALL) == jpegs(2, SMALL)
    assert len(set(jpegs(2, SMALL))) == 2
    assert [Image.open(io.BytesIO(jpegs(1, size)[0])).size for size in (SMALL, LARGE)] == [SMALL, LARGE]


def test_a_package_that_is_not_installed_is_a_row_that_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setitem(sys.modules, "open_clip", None)
    bench = Workbench(model="tiny", folder=tmp_path, rounds=1, sizes=FEW)
    rows = measure(["images", "texts", "tokenizer", "classifier", "decoding", "files"], bench, say=str)
    said = {row.note for row in rows if row.beside == "transformers"}
    assert said == {"transformers is not installed: pip install transformers"}
    assert {row.note for row in rows if row.beside == "open_clip"} == {
        "open_clip is not installed: pip install open_clip_torch"
    }
    assert all(row.ours and not row.theirs for row in rows)


def test_a_package_that_does_not_import_is_said(tmp_path, monkeypatch):
    (tmp_path / "broken_one.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    (tmp_path / "broken_two.py").write_text("import nothing_of_that_name")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AbsentError, match=r"broken_one does not import here: operator torchvision::nms"):
        module("broken_one")
    with pytest.raises(AbsentError, match=r"broken_two does not import here: No module named 'nothing_of_that_name'"):
        module("broken_two")


def test_a_model_that_a_peer_does_not_have_is_said(tmp_path):
    pytest.importorskip("transformers")
    here, absent = open_peers(open_subject("small", tmp_path), tmp_path)
    assert not here
    assert Absent(name="transformers", why="transformers' CLIPModel has no efficientnet tower") in absent


def test_the_bundled_model_agrees_with_itself_in_float32(tmp_path):
    bench = Workbench(model="small", folder=tmp_path)
    rows = list(MEASUREMENTS["agreement"].rows(bench))
    assert [row.unit for row in rows] == ["lowest cosine", "lowest cosine", "% of images"]
    assert rows[-1].ours[0] > 98
    assert bench.described()["model"].startswith("small, images in float32")


def test_names_of_models():
    with pytest.raises(ValueError, match=r"no model named 'ViT-B-23'; did you mean"):
        check_name("ViT-B-23")
    for known in ("ViT-B-32", "tiny", "small", "openai/RN50", "hf-hub:some/one", "."):
        check_name(known)


def test_names_of_measurements():
    assert chosen("") == tuple(MEASUREMENTS)
    assert chosen("texts, images") == ("images", "texts")
    with pytest.raises(ValueError, match=r"no measurement named 'image'; did you mean 'images'\?"):
        chosen("image")


def test_all_ways_of_exporting_are_known():
    assert set(Sizes().ways) <= set(FULL.ways) == set(exported.WAYS)


def test_an_exported_model_stands_beside_pytorch(tmp_path):
    for name in exported.WAYS["onnx"].needs:
        pytest.importorskip(name)
    bench = Workbench(model="tiny", folder=tmp_path, rounds=1, sizes=replace(FEW, ways=("onnx",)))
    (row,) = MEASUREMENTS["exported"].rows(bench)
    assert row.theirs
    assert row.note.startswith("lowest cosine with PyTorch 0.99") or row.note.endswith("1.0000")


def test_a_runtime_that_is_not_installed_is_a_row(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    bench = Workbench(model="tiny", folder=tmp_path, rounds=1, sizes=replace(FEW, ways=("openvino",)))
    (row,) = MEASUREMENTS["exported"].rows(bench)
    assert (row.ours, row.note) == ((), "openvino is not installed: pip install 'fullclip[export]'")


def test_memory_is_of_processes_of_their_own(bench):
    few, many, more = MEASUREMENTS["memory"].rows(bench)
    if not few.ours:
        pytest.skip(few.note)
    assert 100 < few.ours[0] < 4000
    assert more.ours[0] == many.ours[0] - few.ours[0]


def test_first_answers_have_bars(bench, monkeypatch):
    started = list[tuple[str, ...]]()
    monkeypatch.setattr(first_answer, "process", lambda *command: started.append(command))
    rows = list(MEASUREMENTS["first-answer"].rows(bench))
    assert [row.asked() for row in rows] == ["at most 0.3 s", "at most 3 s and a ratio of at least 2"]
    assert {command[1] for command in started} == {"-m", "-c"}
    assert len(started) == 2 * 2 * (1 + bench.rounds)


def test_a_failing_process_says_its_last_line():
    from fullclip.bench.timing import process

    with pytest.raises(ValueError, match="ValueError: no such thing"):
        process(sys.executable, "-c", "raise ValueError('no such thing')")


def test_threads_are_kept_to_and_given_back():
    before, told = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    with machine.threads(1):
        assert torch.get_num_threads() == 1
        assert os.environ["OMP_NUM_THREADS"] == "1"
        if sys.platform == "linux":
            assert len(os.sched_getaffinity(0)) == 1
    assert (torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")) == (before, told)
    with pytest.raises(ValueError, match=r"--threads 100000: there are \d+ processors"), machine.threads(100_000):
        pass


def test_the_machine_says_what_it_is():
    facts = machine.description()
    assert facts["torch"] == torch.__version__
    assert facts["processor"]
    assert all(facts[name] for name in machine.OTHERS)


def test_a_measurement_that_fails_leaves_the_others(tmp_path, monkeypatch):
    def broken(bench):
        yield Row(part="ceiling", what="before", unit="s", ours=(1.0,))
        raise RuntimeError("out of\nmemory")

    def whole(bench):
        yield Row(part="memory", what="after", unit="s", ours=(2.0,))

    monkeypatch.setitem(MEASUREMENTS, "ceiling", Measurement(rows=broken, about=""))
    monkeypatch.setitem(MEASUREMENTS, "memory", Measurement(rows=whole, about=""))
    rows = measure(["ceiling", "memory"], Workbench(model="tiny", folder=tmp_path), say=lambda text: None)
    assert [(row.what, row.failed) for row in rows] == [("before", False), ("ceiling", True), ("after", False)]
    assert rows[1].note == "ceiling failed: out of memory"
