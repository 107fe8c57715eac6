"""Towers after masked patches, contrast and nothing, probed: each number against doing the same by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fullclip.baselines.learning.loop import learn
from fullclip.baselines.learning.pairs import middle, normalized
from fullclip.baselines.learning.settings import Settings
from fullclip.baselines.learning.way import image_tower
from fullclip.baselines.masked import comparison
from fullclip.baselines.masked.comparison import READINGS, WAYS, Subject, compare_masked, features, probed, read_subject
from fullclip.baselines.masked.page import PAGE, table, write_page
from fullclip.baselines.masked.patches import MaskedPatches
from fullclip.data.drops import Drops
from fullclip.evaluation.report.document import Number
from fullclip.evaluation.suite.probing import held_out
from learning import SETTINGS, colour_pairs, colour_question
from tasks import colour_task

CPU = torch.device("cpu")


def subject():
    return Subject(train=colour_question(60), test=replace(colour_question(24), name="walls"))


def compared(out, settings=SETTINGS, *, seeds=1):
    """The rows in the end."""
    *_, rows = compare_masked(colour_pairs(), subject(), out, settings, shards=["s"], seeds=range(seeds), device=CPU)
    return rows


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The rows of two seeds."""
    return compared(tmp_path_factory.mktemp("whole"), seeds=2)


def test_features_are_the_class_token_and_the_mean_of_the_patches():
    tower, pictures = image_tower(SETTINGS, seed=0).eval(), colour_question(70).pictures  # more than one batch
    found = features(tower, pictures)
    expected = tower.before_projection(normalized(middle(pictures, 8))).detach()
    torch.testing.assert_close(torch.from_numpy(found["class token"]), expected, rtol=1e-5, atol=1e-5)
    seen = []
    handle = tower.ln_post.register_forward_hook(lambda module, given, answer: seen.append(given[0]))
    features(tower, pictures[:5])
    handle.remove()
    with torch.inference_mode():
        patches = tower.ln_post(seen[0])[:, 1:].mean(dim=1)
    torch.testing.assert_close(torch.from_numpy(found["mean of patches"][:5]), patches, rtol=1e-5, atol=1e-5)


def test_a_probe_is_that_of_scikit_learn_under_the_penalty_that_was_chosen():
    from sklearn.linear_model import LogisticRegression

    tower = image_tower(SETTINGS, seed=0).eval()
    given = subject()
    labels = given.train.labels.copy()
    labels[::3] = (labels[::3] + 1) % 4  # or any weak penalty would do
    given = replace(given, train=replace(given.train, labels=labels))
    train, test = features(tower, given.train.pictures), features(tower, given.test.pictures)
    for row in probed(tower, given):
        theirs = LogisticRegression(C=1 / row["lambda"], max_iter=10_000, tol=1e-8)
        theirs.fit(train[row["reading"]].astype(np.float64), given.train.labels)
        assert row["value"] == pytest.approx((theirs.predict(test[row["reading"]]) == given.test.labels).mean())
        assert (row["n"], row["train"], row["task"]) == (24, 60, "walls")


def test_the_towers_learn_by_the_common_loop(whole):
    rows = [row for row in whole if row["seed"] == 0]
    assert [(row["way"], row["reading"]) for row in rows] == [(way, reading) for way in WAYS for reading in READINGS]
    assert [row["images"] for row in rows] == [320, 320, 320, 320, 0, 0]
    for name in ("contrastive", "masked patches"):
        way = WAYS[name](colour_pairs(), SETTINGS, 0)
        for _ in learn(way, colour_pairs(), replace(SETTINGS, every=320), seed=0, title="t"):
            expected = [row["value"] for row in probed(way.tower, subject())]
        assert [row["value"] for row in rows if row["way"] == name] == expected
    assert [row["value"] for row in rows[4:]] == [
        row["value"] for row in probed(image_tower(SETTINGS, seed=0).eval(), subject())
    ]
    losses = {row.get("held_out_loss") for row in rows if row["way"] == "masked patches"}
    assert len(losses) == 1
    assert losses.pop() < np.log(512)


def test_masked_patches_learn_colours():
    way = WAYS["masked patches"](colour_pairs(), SETTINGS, 0)
    assert isinstance(way, MaskedPatches)
    settings = replace(SETTINGS, images=1600, every=1600)
    images = normalized(middle(colour_question().pictures, 8))
    for _ in learn(way, colour_pairs(), settings, seed=0, title="t"):
        torch.manual_seed(0)
        last = way.loss(images, ()).item()
    assert last < 4  # of 6.24; every patch of a wall has nearly the wall's colour


def test_what_is_finished_is_not_learned_again(whole, tmp_path, monkeypatch):
    learned, real = [], comparison._learned

    def watched(name, *given, seed, device):
        if len(learned) == 3:
            raise KeyboardInterrupt
        learned.append((name, seed))
        return real(name, *given, seed=seed, device=device)

    monkeypatch.setattr(comparison, "_learned", watched)
    with pytest.raises(KeyboardInterrupt):
        compared(tmp_path, seeds=2)
    assert learned == [(name, 0) for name in WAYS]
    learned.clear()
    assert compared(tmp_path, seeds=2) == whole
    assert learned == [(name, 1) for name in WAYS]


def test_the_page_tells_the_mean_of_the_seeds(whole, tmp_path):
    found = table(whole)
    values = [100 * row["value"] for row in whole if (row["way"], row["reading"]) == ("contrastive", "class token")]
    interval = f"{min(values):.1f} to {max(values):.1f}"
    assert found.rows[0][:2] == ["contrastive", Number(value=f"{sum(values) / 2:.1f}", interval=interval)]
    assert [row[0] for row in found.rows] == list(WAYS)
    assert [row[3].value == "–" for row in found.rows] == [True, False, True]
    assert "on 24 pictures of walls, fitted on 60; after 320 images" in found.note
    write_page(whole, tmp_path / PAGE, data="From pairs of walls.")
    page = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert "From pairs of walls." in page
    assert page.count("<table") == 1


def test_pictures_of_both_splits_are_read():
    settings = replace(SETTINGS, num_questions=10)
    found = read_subject(colour_task(splits=("train", "test")), settings, Drops())
    assert (len(found.train.labels), len(found.test.labels)) == (18, 10)
    assert np.bincount(found.train.labels).tolist() == [6, 6, 6]
    assert held_out(found.train.labels).sum() == 6
    shown = features(image_tower(SETTINGS, seed=0).eval(), found.train.pictures)["class token"]
    assert shown.shape == (18, 16)


def test_what_cannot_be_probed_is_said():
    with pytest.raises(
        ValueError, match="colours has no train split, which a probe is fitted on; give a task with train and test"
    ):
        read_subject(colour_task(), SETTINGS, Drops())
    with pytest.raises(ValueError, match="a ResNet has no patches to mask: a ViT is needed"):
        read_subject(colour_task(splits=("train", "test")), Settings(), Drops())


def test_a_folder_of_other_settings_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "WAYS", {"no learning": WAYS["no learning"]})
    compared(tmp_path)
    with pytest.raises(ValueError, match=r"settings\.images is 640, but the comparison in .* was begun with 320"):
        compared(tmp_path, replace(SETTINGS, images=640))
