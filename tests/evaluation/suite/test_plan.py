"""Which questions are asked of which tasks."""

from dataclasses import replace

import pytest

from fullclip.core.distributed import World
from fullclip.evaluation.suite.plan import PROTOCOLS, questions, unasked
from fullclip.evaluation.suite.subject import Subject
from pairs import make_pairs, make_shards
from tasks import caption_task, colour_task, mean_backbone


def asked(tasks, protocols=PROTOCOLS, **more):
    return {(question.protocol, question.name) for question in questions(tasks, protocols, **more)}


@pytest.fixture
def shards(tmp_path) -> str:
    return make_shards(tmp_path, make_pairs(3))[0]


def test_a_test_split_alone_is_asked_for_what_needs_no_training():
    found = asked([colour_task()], ["zero-shot", "probe", "few-shot", "calibration", "robustness", "adapted-robustness"])
    assert found == {("zero-shot", "colours"), ("calibration", "colours")}


def test_a_train_split_brings_probes():
    found = asked([colour_task(splits=("train", "test"))], ["zero-shot", "probe", "few-shot"])
    assert found == {(protocol, "colours") for protocol in ("zero-shot", "probe", "few-shot")}


def test_a_shift_is_asked_with_its_reference_and_adapted_where_that_can_be_trained_on():
    shift = replace(colour_task(name="drawings"), reference="colours")
    protocols = ["robustness", "adapted-robustness"]
    assert asked([shift, colour_task()], protocols) == {("robustness", "drawings")}
    found = asked([shift, colour_task(splits=("train", "test"))], protocols)
    assert found == {("robustness", "drawings"), ("adapted-robustness", "drawings")}
    with pytest.raises(
        ValueError, match=r"drawings: nothing can be asked \(robustness: not asked of drawings: 'colours', of which"
    ):
        asked([shift], protocols)


def test_what_is_asked_of_nothing_is_said_with_its_reason():
    trained = colour_task(name="trained", splits=("train", "test"))
    shift = replace(colour_task(name="drawings"), reference="colours")
    assert unasked([trained], ["zero-shot", "retrieval", "probe", "few-shot", "calibration", "robustness"]) == []
    assert unasked([colour_task(), caption_task(), trained, shift], ["zero-shot", "probe", "calibration"]) == [
        "probe: not asked of colours, drawings: there is no train split",
        "probe: not asked of captions: images with captions have no classes",
        "calibration: not asked of captions: not one label an image",
    ]
    alone = "robustness: not asked of drawings: 'colours', of which it is a shift, is not among the tasks; add it with --task"
    assert unasked([shift], ["zero-shot", "robustness", "adapted-robustness"]) == [alone]
    assert unasked([shift], ["zero-shot"]) == []
    assert unasked([shift, colour_task()], ["robustness"]) == []
    assert unasked([shift, colour_task()], ["robustness", "adapted-robustness"]) == [
        "robustness of a probe: not asked of drawings: 'colours', of which it is a shift, has no train split"
    ]
    assert unasked([colour_task(), shift], ["rejection"]) == [
        "rejection: not asked of colours, drawings: it takes two classifications that have no class in common"
    ]
    other = replace(colour_task(name="shapes"), classes=(("disc",), ("square",), ("star",)))
    assert unasked([colour_task(), other], ["rejection"]) == []


def test_classes_that_do_not_correspond_fail_their_question_alone():
    shift = replace(colour_task(name="drawings"), reference="colours", classes=(("crimson",), ("green",), ("blue",)))
    (question,) = questions([shift, colour_task()], ["robustness"])
    with pytest.raises(ValueError, match="colours has no class 'crimson'"):
        question.answer(Subject(backbone=mean_backbone(), cache=None, world=World.single()))


def test_strangers_are_sets_whose_words_are_others():
    other = replace(colour_task(name="shapes"), classes=(("disc",), ("square",), ("star",)))
    overlapping = replace(colour_task(name="few"), classes=(("Disc",), ("pink",), ("grey",)))
    found = {name for _, name in asked([colour_task(), other, overlapping], ["rejection"])}
    assert found == {"colours vs shapes", "shapes vs colours", "colours vs few", "few vs colours"}


def test_training_data_are_looked_through_for_every_task(shards):
    found = questions([colour_task()], ["overlap"], shards=[shards], thresholds={"colours": 0.9})
    assert [(one.protocol, one.settings["threshold"], one.splits) for one in found] == [("overlap", 0.9, ("test",))]
    with pytest.raises(ValueError, match=r"a threshold for .colour., which is no task here; did you mean .colours."):
        questions([colour_task()], ["overlap"], shards=[shards], thresholds={"colour": 0.9})


def test_what_is_asked_is_part_of_a_questions_identity():
    task = colour_task(splits=("train", "test"))
    (first,) = questions([task], ["few-shot"])
    (second,) = questions([task], ["few-shot"], shots=[1, 2], seeds=5)
    assert first.settings == {"shots": [1, 2, 4, 8, 16], "seeds": 3}
    assert second.settings == {"shots": [1, 2], "seeds": 5}


def test_zero_shot_does_not_read_through_what_it_does_not_look_at():
    (question,) = questions([colour_task(splits=("train", "test"))], ["zero-shot"])
    assert question.splits == ("test",)


def test_two_tasks_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two tasks are called 'colours'; give one of them another name"):
        questions([colour_task(), colour_task()], ["zero-shot"])
