"""fullclip classify --reject as a user types it: verdicts, thresholds that are fitted and kept, wrong use."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import fullclip
from fullclip.cli.app import app
from fullclip.models.checkpoint import Checkpoint
from fullclip.models.config import PRESETS
from fullclip.models.writing import write_checkpoint
from fullclip.zeroshot.classifier import ZeroShotClassifier
from fullclip.zeroshot.outlier import OutlierDetector
from tasks import pixels
from tiny import tiny_encoder

LABELS = ("--labels", "a dog,a flag")


def run(*words: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr or the error as it would be reported)."""
    result = CliRunner().invoke(app, ["classify", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return (2 if isinstance(result.exception, ValueError) else 1), result.stdout, str(result.exception)
    return result.exit_code, result.stdout, result.stderr


def answers(*words: str) -> list[dict]:
    code, out, said = run(*words, "--json")
    assert code == 0, said
    return json.loads(out)["answers"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    encoder = tiny_encoder()
    checkpoint = Checkpoint(config=PRESETS["tiny"], state=encoder.model.state_dict(), preprocess=encoder.preprocess)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    write_checkpoint(checkpoint, folder, tokenizer=encoder.tokenizer)
    return str(folder)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Forty of one colour, to be known; ten fresh ones of it and ten of noise."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name, found in (
        ("known", [pixels(1, seed) for seed in range(40)]),
        ("fresh", [pixels(1, seed) for seed in range(40, 50)]),
        ("noise", list(random.integers(0, 256, (10, 16, 16, 3), dtype=np.uint8))),
    ):
        (folder / name).mkdir()
        for number, picture in enumerate(found):
            Image.fromarray(picture).save(folder / name / f"{number:02d}.png")
    return folder


def test_without_reject_nothing_is_said_of_it(model, pictures):
    plain = answers(str(pictures / "fresh"), "--model", model, *LABELS)
    assert {key for answer in plain for key in answer} == {"image", "labels"}
    told = answers(str(pictures / "fresh"), "--model", model, *LABELS, "--reject")
    assert [{key: answer[key] for key in ("image", "labels")} for answer in told] == plain


def test_the_default_has_a_threshold_of_its_own(model, pictures):
    encoder, paths = fullclip.load(model), sorted((pictures / "fresh").iterdir())
    detector = OutlierDetector(ZeroShotClassifier(encoder, ["a dog", "a flag"]))
    expected = detector.scores(encoder.encode_images(paths))
    told = answers(str(pictures / "fresh"), "--model", model, *LABELS, "--reject")
    assert [answer["outlier_score"] for answer in told] == pytest.approx(expected.tolist())
    assert {answer["threshold"] for answer in told} == {0.5}
    assert [answer["rejected"] for answer in told] == (expected > 0.5).tolist()


@pytest.mark.parametrize("method", ["negative_labels", "concept_matching", "energy"])
def test_a_threshold_is_fitted_and_kept(model, pictures, tmp_path, method):
    """At a tenth, forty pictures of which at most three lie above the threshold that the conformal rule picks."""
    file = str(tmp_path / "t.json")
    words = (str(pictures / "known"), "--model", model, *LABELS, "--reject", "--threshold-file", file)
    how = ("--reject-method", method, "--false-positive-rate", "0.1", "--reject-fit", str(pictures / "known"))
    told = answers(*words, *how)
    scores = sorted(answer["outlier_score"] for answer in told)
    assert told[0]["threshold"] == pytest.approx(scores[int(np.ceil(0.9 * 41)) - 1])
    assert sum(answer["rejected"] for answer in told) == 3
    assert answers(*words) == told
    assert answers(*words, "--reject-method", method) == told


def test_a_rejected_picture_says_none_of_these_on_top(model, pictures):
    how = ("--reject", "--reject-method", "energy", "--reject-fit", str(pictures / "known"), "--false-positive-rate", "0.1")
    words = (str(pictures / "known"), "--model", model, *LABELS, *how)
    told, (_, table, said) = answers(*words), run(*words)
    parts = table.split(str(pictures))[1:]
    assert len(parts) == len(told) == 40
    for part, answer in zip(parts, told, strict=True):
        first = part.splitlines()[2].strip()
        assert first.startswith("none of these" if answer["rejected"] else answer["labels"][0]["label"])
        assert ("above" in part) == answer["rejected"]
    assert "fitted on 40 images to reject 0.1 of such" in said


def test_unreadable_pictures_are_left_out_of_the_fit(model, pictures, tmp_path):
    (tmp_path / "torn.png").write_bytes(b"\x89PNG nothing")
    fit = ("--reject-fit", str(pictures / "known"), "--reject-fit", str(tmp_path / "torn.png"))
    code, _, said = run(str(pictures / "noise"), "--model", model, *LABELS, "--reject", *fit)
    assert code == 0
    assert "not fitted on" in said
    assert "fitted on 40 images" in said


def test_one_for_other_labels_or_another_model_is_refused(model, pictures, tmp_path):
    file, noise = str(tmp_path / "t.json"), str(pictures / "noise")
    answers(noise, "--model", model, *LABELS, "--reject", "--reject-fit", str(pictures / "known"), "--threshold-file", file)
    kept = ("--reject", "--threshold-file", file)
    code, _, said = run(noise, "--model", model, "--labels", "a cat,a flag", *kept)
    assert (code, "fitted for other labels (a dog, a flag)" in said) == (2, True)
    code, _, said = run(noise, "--model", model, *LABELS, "--templates", "label", *kept)
    assert (code, "fitted for other templates" in said) == (2, True)
    code, _, said = run(noise, "--model", model, *LABELS, *kept, "--reject-method", "energy")
    assert (code, "is of negative_labels, not of energy" in said) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--reject-method", "energy"], "--reject-method says how to reject: add --reject"),
        (["--false-positive-rate", "0"], "--false-positive-rate says how to reject: add --reject"),
        (["--reject", "--reject-method", "energi"], "did you mean 'energy'"),
        (["--reject", "--reject-method", "energy"], "energy has no threshold of its own: add --reject-fit IMAGES"),
        (["--reject", "--false-positive-rate", "0.1"], "add --reject-fit IMAGES"),
        (["--reject", "--reject-fit", "PICTURES", "--false-positive-rate", "5"], "between 0 and 1, such as 0.05"),
        (["--reject", "--reject-fit", "PICTURES/noise"], "10 pictures to fit a threshold on"),
        (["--reject", "--threshold-file", "nowhere.json"], "nowhere.json: no such file; --reject-fit IMAGES beside it"),
        (["--reject", "--labels", "a dog", "--reject-method", "concept_matching"], "give two or more"),
    ],
)
def test_wrong_use_is_one_line_that_says_what_to_type(model, pictures, words, message):
    chosen = [word.replace("PICTURES", str(pictures)) for word in words]
    code, out, said = run(str(pictures / "noise"), "--model", model, *(() if "--labels" in words else LABELS), *chosen)
    assert (code, out) == (2, "")
    assert message in said
