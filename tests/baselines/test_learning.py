"""The loop, the question and the records: what is learned, asked and kept."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from fullclip.baselines.comparing import check_methods, check_seeds, curve, described, in_order
from fullclip.baselines.learning import adamw, learn
from fullclip.baselines.methods import METHODS, vocabularies
from fullclip.baselines.pairs import Batches, middle, normalized
from fullclip.baselines.records import held, read_rows
from fullclip.baselines.settings import Settings, TextShape
from fullclip.baselines.way import Answering, image_tower
from fullclip.baselines.zero_shot import NUM_AT_LARGE, ask
from fullclip.core.config import override
from fullclip.train.optim.average import Average
from learning import SETTINGS, colour_pairs, colour_question

CPU = torch.device("cpu")


def built(method="contrastive", seed=0, settings=SETTINGS):
    return METHODS[method].build(settings, vocabularies(colour_pairs(), settings), seed)


@pytest.mark.parametrize("method", METHODS)
def test_every_way_learns_what_its_captions_say(method):
    settings = replace(SETTINGS, images=1280, every=1280)
    words = vocabularies(colour_pairs(), settings)
    rows = curve(method, colour_pairs(), colour_question(), settings, words=words, seed=0, device=CPU)
    best = max(row["value"] for row in rows)
    assert best > 0.7, rows  # chance is 25%
    assert [row["rule"] for row in rows] == (["similarity"] if "contrastive" in method else ["likelihood", "ratio"])
    assert all(row["interval"][0] <= row["value"] <= row["interval"][1] for row in rows)


def test_the_loop_is_adamw_with_a_running_average_step_by_step():
    """The same written out."""
    ours = built()
    marks = []
    for images in learn(ours, colour_pairs(), SETTINGS, seed=3, title="t"):
        assert not ours.training
        marks.append((images, {name: tensor.clone() for name, tensor in ours.state_dict().items()}))
    theirs = built()
    batches = Batches(colour_pairs(), image_size=8, batch_size=16, seed=3)
    optimizer, average = adamw(theirs, SETTINGS.optim), Average(theirs, SETTINGS.average)
    for step in range(20):
        for group in optimizer.param_groups:
            group["lr"] = SETTINGS.optim.learning_rate * min(1, (step + 1) / 2)
        optimizer.zero_grad()
        theirs.loss(*batches(step)).backward()
        optimizer.step()
        theirs.after_step()
        average.update(theirs)
        if step == 9:
            with average.applied(theirs):
                halfway = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}
    assert [images for images, _ in marks] == [160, 320]
    for name, tensor in halfway.items():
        torch.testing.assert_close(marks[0][1][name], tensor, msg=name)
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor, msg=name)


def test_only_matrices_are_decayed():
    way = built()
    decayed, plain = adamw(way, SETTINGS.optim).param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.2, 0.0)
    assert {p.ndim for p in plain["params"]} == {0, 1}
    assert min(p.ndim for p in decayed["params"]) == 2
    assert len(decayed["params"]) + len(plain["params"]) == len(list(way.parameters()))


def test_what_is_asked_on_the_way_changes_nothing():
    ends = []
    for asks in (False, True):
        way = built("bag-of-words")
        for _ in learn(way, colour_pairs(), SETTINGS, seed=0, title="t"):
            if asks:
                ask(way, colour_question(), SETTINGS, at_large=colour_pairs())
                torch.rand(3)
        ends.append(way.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_loss_that_is_no_number_ends_the_run():
    way = built()
    way.tower.proj.data.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match=r"a title: the loss of step 1 is nan; set optim\.learning_rate lower"):
        list(learn(way, colour_pairs(), SETTINGS, seed=0, title="a title"))


class _Fixed(Answering):
    """Scores that are known: the mean of a channel, plus a class's own bias; one class cannot be answered."""

    is_likelihood = True

    def loss(self, images, texts):
        raise NotImplementedError

    def num_unknown(self, classes):
        return 0

    def scorer(self, classes, templates):
        bias = torch.tensor([3.0, 0.0, 0.0])

        def scores(images):
            known = images.mean(dim=(2, 3)) + bias
            return torch.cat([known, torch.full_like(known[:, :1], -torch.inf)], dim=1)

        return scores


def test_answers_are_by_likelihood_or_by_its_ratio_to_that_at_large():
    pairs, question = colour_pairs(300), colour_question(40)
    plain, ratio = ask(_Fixed(image_tower(SETTINGS, seed=0)), question, SETTINGS, at_large=pairs)
    bias = np.array([3.0, 0.0, 0.0])
    own = normalized(middle(question.pictures, 8)).mean(dim=(2, 3)).double().numpy() + bias
    chosen = np.random.default_rng(0).permutation(300)[:NUM_AT_LARGE]
    large = normalized(middle(pairs.pictures[chosen], 8)).mean(dim=(2, 3)).double().numpy() + bias
    prior = np.log(np.exp(large).mean(axis=0))
    assert plain.value == pytest.approx((own.argmax(axis=1) == question.labels).mean())
    assert ratio.value == pytest.approx(((own - prior).argmax(axis=1) == question.labels).mean())
    assert ratio.value > plain.value  # three of four classes stand out by a channel, once the bias is gone
    assert plain.n == ratio.n == 40


def test_finished_parts_stay_and_others_are_refused(tmp_path):
    settings = {"a": {"b": 1}, "c": "x"}
    with held(tmp_path / "out", settings) as records:
        assert not records.has(method="m", seed=0)
        records.add([{"method": "m", "seed": 0, "value": 0.5}, {"method": "m", "seed": 0, "value": 0.6}])
        with pytest.raises(ValueError, match=r"another process is comparing into .*: wait for its end"):
            held(tmp_path / "out", settings).__enter__()
    with held(tmp_path / "out", settings) as records:
        assert records.has(method="m", seed=0)
        assert not records.has(method="m", seed=1)
        assert [row["value"] for row in records.rows] == [0.5, 0.6]
    with (
        pytest.raises(ValueError, match=r"a\.b is 2, but the comparison in .* was begun with 1; go on with the same"),
        held(tmp_path / "out", {"a": {"b": 2}, "c": "x"}),
    ):
        pass


def test_damaged_records_are_named(tmp_path):
    results = tmp_path / "results.jsonl"
    results.write_text('{"method": "m"}\n{"meth')
    with pytest.raises(ValueError, match=r"results.jsonl:2: '\{\"meth' is no result; remove that line"):
        read_rows(results)
    with pytest.raises(ValueError, match="holds results, but not what they were made with"), held(tmp_path, {"a": 1}):
        pass
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(ValueError, match=r"settings.json is damaged .*; give another --out"), held(tmp_path, {"a": 1}):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file is a file; give a folder with --out"), held(tmp_path / "file", {}):
        pass


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("images=8", "images is 8, less than one batch of 16"),
        ("batch_size=1", "batch_size is 1: a contrastive loss needs at least 2"),
        ("every=0", "every is 0: from 1 to the 320 images"),
        ("every=321", "every is 321: from 1 to the 320 images"),
        ("average=1", "average is 1.0: above 0 and below 1"),
        ("least=0", "least is 0: at least 1"),
        ("text.layers=0", "text: sizes from 1"),
        ("text.context_length=2", "a context_length from 3"),
        ("lr=1", "lr: no such setting"),
    ],
)
def test_impossible_settings_are_one_line(setting, message):
    with pytest.raises(ValueError, match=message):
        override(SETTINGS, [setting])


def test_marks_are_whole_batches_and_end_with_the_last():
    assert Settings(images=6400, batch_size=100).marks == (1, 2, 4, 8, 16, 32, 64)
    assert Settings(images=1000, every=300, batch_size=128).marks == (2, 5, 7, 8)
    assert Settings(images=128).marks == (1,)
    assert TextShape(width=8).config(10, end_id=3).mlp_width == 32


def test_names_and_seeds_are_checked():
    assert check_methods(["contrastive", "caption-lm", "contrastive"]) == ("caption-lm", "contrastive")
    with pytest.raises(ValueError, match="no way of learning named 'contrastiv'; did you mean 'contrastive'"):
        check_methods(["contrastiv"])
    with pytest.raises(ValueError, match="no way of learning is named; there are: caption-lm, bag-of-words"):
        check_methods([])
    assert list(check_seeds(3)) == [0, 1, 2]
    with pytest.raises(ValueError, match="0 seeds: at least 1"):
        check_seeds(0)
    rows = [{"method": "contrastive", "seed": 1}, {"method": "contrastive", "seed": 0}, {"method": "caption-lm", "seed": 1}]
    assert in_order(rows) == [rows[2], rows[1], rows[0]]
    told = described(["/some/where/train"], colour_pairs(), colour_question(), SETTINGS)
    assert json.loads(json.dumps(told))["shards"] == ["train"]
    assert told["pairs"] == 64


@pytest.mark.faults
def test_a_killed_comparison_goes_on_and_gives_the_same(tmp_path):
    """Killed after the first way; the second start does not repeat it, and the rows are those of a run that was let alone."""
    program = (
        "import sys, json, torch; torch.set_num_threads(1); sys.path.insert(0, sys.argv[2])\n"
        "from learning import *\nfrom fullclip.baselines.records import held\n"
        "from fullclip.baselines.comparing import curve, described\nfrom fullclip.baselines.methods import vocabularies\n"
        "from pathlib import Path\n"
        "pairs, question = colour_pairs(), colour_question(); words = vocabularies(pairs, SETTINGS)\n"
        "with held(Path(sys.argv[1]), described(['s'], pairs, question, SETTINGS)) as records:\n"
        "    for method in ('bag-of-words', 'contrastive-bag', 'contrastive'):\n"
        "        if not records.has(method=method, seed=0):\n"
        "            print(method, flush=True)\n"
        "            records.add(curve(method, pairs, question, SETTINGS, words=words, seed=0, device=torch.device('cpu')))\n"
    )
    tests = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120

    def start(out):
        return subprocess.Popen([sys.executable, "-c", program, str(out), tests], stdout=subprocess.PIPE, text=True)

    killed = start(tmp_path / "killed")
    deadline = time.monotonic() + 60
    while not (tmp_path / "killed/results.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    first = killed.communicate()[0].split()
    again = start(tmp_path / "killed").communicate(timeout=60)[0].split()
    assert first[0] == "bag-of-words"
    assert "bag-of-words" not in again
    start(tmp_path / "alone").communicate(timeout=60)
    found, expected = (
        [
            {name: value for name, value in row.items() if name != "seconds"}
            for row in read_rows(tmp_path / out / "results.jsonl")
        ]
        for out in ("killed", "alone")
    )
    assert found == expected
    assert len(found) == 2 * 2 + 2 + 2
