"""Few-shot curves: averages over the sets that all have, and the median of the shots that zero-shot is worth."""

import numpy as np
import pytest

from evaluations import begin, few_shot
from fullclip.evaluation.report.document import Folded, Picture, Table
from fullclip.evaluation.report.figures.bars import Shots
from fullclip.evaluation.report.runs import read_runs
from fullclip.evaluation.report.sections.few_shots import few_shots, median_said

CURVES = {"one": (0.1, 0.2, 0.3, 0.4, 0.5), "two": (0.3, 0.4, 0.6, 0.7, 0.9)}


def test_the_average_is_over_the_sets_that_all_have(tmp_path):
    clip, net = begin(tmp_path / "clip", "clip"), begin(tmp_path / "net", "net")
    for task, curve in CURVES.items():
        few_shot(clip, task, curve, zero_shot=0.35, equals=4.5)
        few_shot(net, task, curve[::-1], zero_shot=None)
    few_shot(clip, "alone", (0.9,) * 5, zero_shot=0.9)
    section = few_shots(read_runs([clip, net]))
    table = next(block for block in section.blocks if isinstance(block, Table))
    means = np.mean(list(CURVES.values()), axis=0)
    assert [cell.value for cell in table.rows[0][1:-1]] == ["35.0", *(f"{100 * mean:.1f}" for mean in means)]
    assert [cell.value for cell in table.rows[1][1:]] == ["–", *(f"{100 * mean:.1f}" for mean in means[::-1]), "400"]
    captions = [block.caption for block in section.blocks if isinstance(block, Picture)]
    assert "Figure 6: the average score over 2 sets" in captions[0]
    assert "The median is 4.5" in captions[1]  # of 4.5, 4.5 and more than 16
    every = next(block for block in section.blocks if isinstance(block, Folded))
    assert len(every.blocks[0].rows) == 5


def test_sets_without_a_curve_in_common_have_no_average(tmp_path):
    one, two = begin(tmp_path / "one", "one"), begin(tmp_path / "two", "two")
    few_shot(one, "a", CURVES["one"], zero_shot=None)
    few_shot(two, "b", CURVES["one"], zero_shot=None)
    section = few_shots(read_runs([one, two]))
    assert any("there is no average" in block.text for block in section.blocks if hasattr(block, "text"))
    assert not any(isinstance(block, Picture) for block in section.blocks)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (["fewer than 1", 2.0, 6.0], "2.0"),
        ([2.0, 6.0], "4.0"),
        (["fewer than 1", 2.0], "fewer than 1"),
        ([3.0, "more than 16", "more than 16"], "more than 16"),
        ([3.0, "more than 16"], "more than 16"),
    ],
)
def test_the_median_counts_what_is_beyond_the_curve(told, said):
    sets = [
        Shots(name=str(i), value=one if isinstance(one, float) else None, interval=None, said=str(one))
        for i, one in enumerate(told)
    ]
    assert median_said(sets) == said
