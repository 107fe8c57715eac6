"""Names, one sentence, ensembles: each way's accuracy against the classifier written out, the gain against its difference."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from prompts import ENSEMBLE, NAMES, OWN, PHOTO, ask, main, summary, table, wordings, write

from fullclip.core.distributed import World
from fullclip.evaluation.features.backbone import ClipBackbone
from fullclip.evaluation.suite.subject import Subject
from fullclip.zeroshot.prompts import fill
from tasks import as_extracted, caption_task, colour_task
from tiny import tiny_encoder


@pytest.fixture(scope="module")
def encoder():
    return tiny_encoder()


@pytest.fixture(scope="module")
def subject(encoder):
    return Subject(backbone=ClipBackbone(encoder, name="tiny"), cache=None, world=World.single())


def naive(encoder, task, templates) -> float:
    """Zero-shot accuracy, class by class and picture by picture."""
    weights = []
    for (name,) in task.classes:
        mean = np.mean([encoder.encode_texts([sentence])[0] for sentence in fill(name, templates)], axis=0)
        weights.append(mean / np.linalg.norm(mean))
    examples = task.splits["test"].examples
    pictures = encoder.encode_images([example.image for example in examples])
    right = [
        int(np.argmax([picture @ weight for weight in weights])) == example.labels[0]
        for picture, example in zip(pictures, examples, strict=True)
    ]
    return sum(right) / len(right)


def test_each_way_is_the_classifier_written_out(subject, encoder):
    task = replace(colour_task(5, 6), templates=("a picture of {}.", "{} noise", "some {} in a {} frame"))
    found = ask(subject, task)
    expected = {
        NAMES: ("{}",),
        PHOTO: ("a photo of a {}.",),
        OWN: ("a picture of {}.",),
        ENSEMBLE: ("a picture of {}.", "{} noise", "some {} in a {} frame"),
    }
    assert wordings(task) == expected
    for name, templates in expected.items():
        assert found.records[name].results[0].value == pytest.approx(naive(encoder, task, templates))


def test_the_gain_is_the_ensembles_value_less_the_names(subject):
    found = ask(subject, colour_task(4, 8))
    names, ensemble = (found.records[name].results[0].value for name in (NAMES, ENSEMBLE))
    assert found.gain.difference == pytest.approx(ensemble - names)
    assert found.gain.interval[0] <= found.gain.difference <= found.gain.interval[1]


def test_a_task_without_sentences_is_asked_by_the_papers_one(subject):
    ways = wordings(replace(colour_task(), templates=()))
    assert ways[OWN] == ways[ENSEMBLE] == ways[PHOTO] == ("a photo of a {}.",)


def test_the_last_row_is_the_mean_over_the_tasks(subject):
    asked = [ask(subject, colour_task(classes, 6, name=f"of {classes}")) for classes in (3, 6)]
    rows = table(asked).rows
    assert [row[0] for row in rows] == ["of 3", "of 6", "average of 2"]
    for column, name in zip((1, 2, 3, 4), (NAMES, PHOTO, OWN, ENSEMBLE), strict=True):
        values = [one.records[name].results[0].value for one in asked]
        assert float(rows[-1][column].value) == pytest.approx(100 * np.mean(values), abs=0.051)
    assert len(table(asked[:1]).rows) == 1


def test_the_summary_counts_sets_and_gives_the_middle_gain(subject):
    asked = [ask(subject, colour_task(classes, 6, name=f"of {classes}")) for classes in (3, 5, 6)]
    gains = [0.2, -0.1, 0.013]
    moved = [
        replace(one, gain=replace(one.gain, difference=gain, interval=(gain - 0.05, gain + 0.05)))
        for one, gain in zip(asked, gains, strict=True)
    ]
    assert summary(moved) == (
        "Of 3 sets, the ensemble is better than the names on 1 and worse on 1, by 95% intervals;"
        " the median gain is +1.3 points."
    )


def test_the_lines_hold_every_number_and_the_page_the_figure(subject, tmp_path):
    asked = [ask(subject, colour_task(3, 6))]
    printed = write(asked, tmp_path / "out", model="tiny")
    lines = [json.loads(line) for line in (tmp_path / "out/prompts.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {(line["words"], line["metric"], line["value"]) for line in lines} == {
        (name, result.metric, result.value) for name, record in asked[0].records.items() for result in record.results
    }
    page = (tmp_path / "out/prompts.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "colours" in page
    assert "| colours |" in printed


def test_pairs_are_refused(subject):
    with pytest.raises(ValueError, match="captions: images with captions have no classes; leave it out"):
        ask(subject, caption_task())


def test_the_command_asks_a_model_of_a_folder(encoder, tmp_path, monkeypatch, capsys):
    for number, colour in enumerate(("red", "blue")):
        (tmp_path / "task" / colour).mkdir(parents=True)
        for place in range(3):
            image = Image.new("RGB", (40, 40), (200 * (1 - number), 10 * place, 200 * number))
            image.save(tmp_path / "task" / colour / f"{place}.png")
    monkeypatch.setattr("fullclip.load", lambda name, precision: encoder)
    main(["tiny", "--task", str(tmp_path / "task"), "--limit", "4", "--out", str(tmp_path / "out")])
    assert "| task | " in capsys.readouterr().out
    with pytest.raises(SystemExit, match="prompts: no task or folder 'nothing'"):
        main(["tiny", "--task", "nothing", "--out", str(tmp_path / "out")])


def test_pictures_come_in_the_same_order_for_every_way(subject):
    task = colour_task(3, 6)
    keys = [list(record.arrays["keys"]) for record in ask(subject, task).records.values()]
    assert all(each == keys[0] for each in keys)
    assert sorted(keys[0]) == sorted(example.key for example in as_extracted(task.splits["test"]))
