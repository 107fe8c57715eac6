"""The sets that Python packages carry, against the packages' own loaders."""

import importlib.util
import sys

import numpy as np
import pytest
from PIL import Image

from fullclip.evaluation.tasks.find import available, find_task
from fullclip.evaluation.tasks.packaged import PACKAGED


def test_digits_are_scikit_learns():
    loaded = pytest.importorskip("sklearn.datasets").load_digits()
    task = find_task("digits")
    assert (task.class_names, len(task.splits["train"]), len(task.splits["test"])) == (tuple("0123456789"), 1348, 449)
    train, test = (list(task.splits[split].read(range(len(task.splits[split])))) for split in ("train", "test"))
    for number in range(len(loaded.target)):
        one = test[number // 4] if number % 4 == 3 else train[number - (number + 1) // 4]
        assert one.labels == (loaded.target[number],)
        for channel in range(3):
            assert np.abs(one.image[..., channel] - loaded.images[number] * 255 / 16).max() <= 0.5


def check_solar_cells(probabilities, pictures) -> None:
    """What the task says of each cell, by the package's own numbers: how likely it is defective, and its pixels."""
    task = find_task("solar_cells")
    assert task.classes == (("intact", "functional"), ("defective", "cracked"))
    number = len(probabilities)
    for split, places in {"test": range(3, number, 4), "train": [i for i in range(number) if i % 4 != 3]}.items():
        found = list(task.splits[split].read(range(len(task.splits[split]))))
        assert [one.labels for one in found] == [(round(probabilities[i]),) for i in places]
        for one, place in zip(found, places, strict=True):
            import io

            np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(one.image))), pictures[place])


def test_solar_cells_in_the_packages_form(tmp_path, monkeypatch):
    folder = tmp_path / "elpv_dataset/data/images"
    folder.mkdir(parents=True)
    (folder.parents[1] / "__init__.py").touch()
    pictures = np.random.default_rng(0).integers(0, 256, (9, 6, 6)).astype(np.uint8)
    told = [0.0, 1.0, 0.3333333333333333, 0.6666666666666666, 1.0, 0.0, 0.0, 0.3333333333333333, 1.0]
    for number, picture in enumerate(pictures, 1):
        Image.fromarray(picture).save(folder / f"cell{number:04d}.png")
    lines = [f"images/cell{i:04d}.png  {told[i - 1]}                      {'mono' if i % 2 else 'poly'}" for i in range(1, 10)]
    (folder.parent / "labels.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "elpv_dataset", raising=False)
    check_solar_cells(told, pictures)


def test_solar_cells_are_those_of_the_packages_own_loader():
    if importlib.util.find_spec("elpv_dataset") is None:
        pytest.skip("the package is not installed: pip install elpv-dataset")
    from elpv_dataset.utils import load_dataset

    pictures, probabilities, _ = load_dataset()
    assert len(pictures) == 2624
    check_solar_cells(probabilities.tolist(), pictures)


def test_a_package_that_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "elpv_dataset", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = {one.name: one for one in available()}
    assert [(found[name].path, found[name].how) for name in PACKAGED] == [
        (None, "pip install scikit-learn"),
        (None, "pip install elpv-dataset"),
    ]
    with pytest.raises(ValueError, match="solar_cells is not here: pip install elpv-dataset"):
        find_task("solar_cells")
