"""What the choices of `zeroshot/outlier.py` are worth: AUROC on two tasks, one of known classes and one of strangers, and the
share of each side above the threshold of one half, for other words, shares, groups, weights and scales than the default's.

python bench/rejection.py MODEL INSIDE OUTSIDE [--words FILE ...]      tasks as `fullclip evaluate --task` takes them
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import fullclip
from fullclip.core.distributed import World
from fullclip.evaluation.features.backbone import ClipBackbone
from fullclip.evaluation.statistics.metrics import rank_auc
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.suite.zero_shot import templates_of
from fullclip.evaluation.tasks.find import find_task
from fullclip.evaluation.tasks.task import limited
from fullclip.zeroshot.classifier import ZeroShotClassifier, class_weights
from fullclip.zeroshot.negatives import NEGATIVE_TEMPLATES, default_negatives, least_like, other_than
from fullclip.zeroshot.outlier import OutlierDetector

LIMIT = 2000


def log_sum_exp(logits: np.ndarray) -> np.ndarray:
    return np.logaddexp.reduce(logits.astype(np.float64), axis=1)


def negative_labels(
    images: np.ndarray, labels: np.ndarray, words: np.ndarray, *, scale: float, share: float, groups: int, balanced: bool
) -> np.ndarray:
    """Jiang et al. 2024, equations 4 and 8, in any of its variants."""
    order, own, shares = least_like(words, labels, share=share), log_sum_exp(scale * images @ labels.T), []
    for start in range(groups):
        group = words[order[start::groups]]
        others = log_sum_exp(scale * images @ group.T) + (np.log(len(labels) / len(group)) if balanced else 0.0)
        shares.append(np.exp(others - np.logaddexp(others, own)))
    return np.mean(shares, axis=0)


def variants(scale: float, lists: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray, dict]]:
    default = {"scale": scale, "share": 0.5, "groups": 1, "balanced": True}
    for name, words in lists.items():
        yield f"{name}: the default", words, default
        yield f"{name}: labels and words summed, as in the paper", words, {**default, "balanced": False}
        yield f"{name}: the same in ten groups", words, {**default, "balanced": False, "groups": 10}
        yield f"{name}: ten groups", words, {**default, "groups": 10}
        for share in (0.15, 0.25, 0.75, 1.0):
            yield f"{name}: {share:.0%} of the words", words, {**default, "share": share}
        yield f"{name}: a scale of 100", words, {**default, "scale": 100.0}


def show(name: str, inside: np.ndarray, outside: np.ndarray, *, natural: bool = True) -> None:
    strange = np.arange(len(inside) + len(outside)) >= len(inside)
    values, (low, high) = rank_auc(np.concatenate([inside, outside]), strange)
    above = f"   above one half: {(inside > 0.5).mean():4.0%} of in, {(outside > 0.5).mean():4.0%} of out" if natural else ""
    print(f"{name:60} AUROC {values.mean():.3f} ({low:.3f} to {high:.3f}){above}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("inside")
    parser.add_argument("outside")
    parser.add_argument("--words", type=Path, nargs="*", default=[], help="lists to try beside ImageNet's, one word a line")
    asked = parser.parse_args()
    encoder = fullclip.load(asked.model)
    subject = Subject(backbone=ClipBackbone(encoder, name=asked.model), cache=None, world=World.single())
    task, other = (limited(find_task(name), LIMIT) for name in (asked.inside, asked.outside))
    images, strangers = (encoder.project(subject.features(one).features) for one in (task, other))
    labels = class_weights(encoder, task.classes, templates_of(task))
    lists = {"ImageNet": list(default_negatives())}
    lists |= {path.stem: list(dict.fromkeys(path.read_text(encoding="utf-8").split("\n")[:-1])) for path in asked.words}
    names, weights = [name for own in task.classes for name in own], dict[str, np.ndarray]()
    for name, words in lists.items():
        kept = other_than(names, words)
        weights[name] = class_weights(encoder, [(words[place],) for place in kept], NEGATIVE_TEMPLATES)
    classifier = ZeroShotClassifier(encoder, task.class_names, templates_of(task), weights=labels)
    print(f"{task.name} vs {other.name}: {len(images)} and {len(strangers)} images, scale {encoder.scale:.1f}")
    for method in ("concept_matching", "energy"):
        detector = OutlierDetector(classifier, method)
        show(method, detector.scores(images), detector.scores(strangers), natural=False)
    for name, words, how in variants(encoder.scale, weights):
        show(name, negative_labels(images, labels, words, **how), negative_labels(strangers, labels, words, **how))


if __name__ == "__main__":
    main()
