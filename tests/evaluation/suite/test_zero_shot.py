"""Zero-shot against the published procedure in plain PyTorch, and against the classifier that everybody uses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fullclip.core.distributed import World
from fullclip.evaluation.features.backbone import ClipBackbone
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.suite.zero_shot import templates_of, zero_shot, zero_shot_logits
from fullclip.preprocess.image import from_array
from fullclip.zeroshot.classifier import ZeroShotClassifier
from tasks import as_extracted, colour_task, mean_backbone
from tiny import tiny_encoder


def subject(cache=None) -> Subject:
    return Subject(backbone=ClipBackbone(tiny_encoder(), name="tiny"), cache=cache, world=World.single())


def published_weights(classes, templates, encoder) -> torch.Tensor:
    """openai/CLIP's notebook, zeroshot_classifier(): for each class its sentences, each embedding of length 1, their mean, of
    length 1 again; where a class has several names, the sentences of all of them. [embed, classes]
    """
    columns = []
    with torch.no_grad():
        for names in classes:
            texts = [template.format(name) for name in names for template in templates]
            embeddings = encoder.model.encode_text(encoder.tokenizer.encode(texts).ids)
            embeddings = embeddings / embeddings.norm(dim=-1, keepdim=True)
            mean = embeddings.mean(dim=0)
            columns.append(mean / mean.norm())
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize("keep", [True, False])
def test_logits_are_those_of_the_published_procedure(tmp_path, keep):
    task = replace(
        colour_task(),
        classes=(("red", "crimson", "a colour like blood"), ("green",), ("blue", "azure")),
        templates=("a {c}.", "{c}"),
    )
    who = subject(tmp_path if keep else None)
    encoder = who.clip.encoder
    pixels = torch.stack([encoder.transform(from_array(example.image)) for example in as_extracted(task.splits["test"])])
    with torch.no_grad():
        features = encoder.model.encode_image(pixels)
    features = features / features.norm(dim=-1, keepdim=True)
    expected = 100.0 * features @ published_weights(task.classes, ("a {}.", "{}"), encoder)
    for _ in range(2):
        _, logits = zero_shot_logits(who, task)
        np.testing.assert_allclose(logits, expected.numpy(), atol=1e-4)


def test_the_record_is_what_the_classifier_answers():
    task, who = colour_task(4, 5), subject()
    record = zero_shot(who, task=task)
    classifier = ZeroShotClassifier(who.clip.encoder, labels=list(task.class_names), templates=task.templates)
    examples = as_extracted(task.splits["test"])
    answers = classifier.predict([example.image for example in examples])
    right = [answer == task.class_names[example.labels[0]] for answer, example in zip(answers, examples, strict=True)]
    assert record.results[0].value == np.mean(right)
    np.testing.assert_array_equal(record.arrays["values"], np.array(right, dtype=float))
    assert [task.class_names[i] for i in record.arrays["predictions"]] == answers.tolist()
    assert record.arrays["keys"].tolist() == [example.key for example in examples]
    assert record.details["templates"] == 2
    assert record.details["reference"] is None


def test_templates_come_in_both_spellings_and_may_be_left_out():
    assert templates_of(replace(colour_task(), templates=("art of {c}", "{}"))) == ("art of {}", "{}")
    assert templates_of(replace(colour_task(), templates=())) == ("a photo of a {}.",)
    with pytest.raises(ValueError, match=r"template 'a photo' has no \{\} for the label"):
        templates_of(replace(colour_task(), templates=("a photo",)))


def test_a_network_that_knows_no_words_is_told_what_to_ask():
    who = Subject(backbone=mean_backbone(), cache=None, world=World.single())
    with pytest.raises(ValueError, match="means knows no words: ask it for --probe or --few-shot"):
        zero_shot(who, task=colour_task())


def test_words_that_are_too_long_are_an_error():
    task = replace(colour_task(), classes=(("red " * 100,), ("green",), ("blue",)))
    with pytest.raises(ValueError, match="token"):
        zero_shot(subject(), task=task)
