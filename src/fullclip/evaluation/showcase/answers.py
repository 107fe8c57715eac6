"""What a model says of pairs that it never saw, for a report: recall both ways, words it is asked for, random pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from fullclip.core.logs import read_metrics
from fullclip.core.types import Hit, Pair, Result
from fullclip.evaluation.showcase.page import Answered, Page, write_page
from fullclip.evaluation.statistics.gallery import expected_recall
from fullclip.inference import Encoder
from fullclip.zeroshot.classifier import ZeroShotClassifier

GALLERY = 100
_RANKS = (1, 5, 10)
_PICTURES_PER_WORD = 6
_NUM_PICTURES = 18


@dataclass(frozen=True, kw_only=True)
class Showcase:
    """The answers: one result for each direction and rank, pictures for each word, texts for some pictures."""

    results: tuple[Result, ...]
    chances: tuple[float, ...]
    words: tuple[tuple[str, tuple[Answered, ...]], ...]
    pictures: tuple[Answered, ...]

    @property
    def headline(self) -> str:
        """Image-to-text recall@1 in a sentence, against chance."""
        first, chance = self.results[0], self.chances[0]
        low, high = first.interval
        times = first.value / chance
        verdict = f"{times:.1f} times chance" if times >= 5 else f"only {times:.1f} times chance, below the five aimed at"
        return (
            f"A picture finds its own text first among {GALLERY} in {first.value:.1%} of {first.n} unseen pairs"
            f" (95% interval {low:.1%} to {high:.1%}): {verdict}."
        )


def show(encoder: Encoder, pairs: Sequence[Pair], labels: Sequence[str]) -> Showcase:
    """Ask the model about `pairs`; ValueError for labels that no classifier can be made of."""
    # A model that was trained for minutes learned a small scale; with 100 it would be certain of everything.
    classifier = ZeroShotClassifier(encoder, labels, templates=("{}",), scale=encoder.scale)
    images = encoder.encode_images([pair.image for pair in pairs])
    texts = encoder.encode_texts([full_text(pair) for pair in pairs], truncate=True)
    similarity = images @ texts.T
    directions = (("image to text", similarity), ("text to image", similarity.T))
    results = [expected_recall(matrix, task=task, k=k, gallery=GALLERY) for task, matrix in directions for k in _RANKS]
    return Showcase(
        results=tuple(results),
        chances=tuple(k / GALLERY for _ in directions for k in _RANKS),
        words=tuple(_pictures_for_words(classifier, pairs, images)),
        pictures=tuple(_texts_for_pictures(pairs, encoder.scale * similarity)),
    )


def full_text(pair: Pair) -> str:
    """The fullest of a pair's captions: its title with its keywords, where it has some."""
    return max(pair.texts, key=len)


def _pictures_for_words(
    classifier: ZeroShotClassifier, pairs: Sequence[Pair], images: Float[np.ndarray, "pairs embed"]
) -> list[tuple[str, tuple[Answered, ...]]]:
    probabilities = classifier.probabilities(images)
    answers = []
    for column, label in enumerate(classifier.labels):
        best = probabilities[:, column].argsort()[::-1][:_PICTURES_PER_WORD]
        found = [
            Answered(
                image=pairs[i].image,
                caption=pairs[i].texts[0],
                hits=(Hit(key=label, score=float(probabilities[i, column]), meta={"text": label}),),
            )
            for i in best
        ]
        answers.append((label, tuple(found)))
    return answers


def _texts_for_pictures(pairs: Sequence[Pair], logits: Float[np.ndarray, "pairs pairs"]) -> list[Answered]:
    chosen = np.random.default_rng(0).permutation(len(pairs))[:GALLERY]
    answers = []
    for i in chosen[:_NUM_PICTURES]:
        row = logits[i, chosen]
        probabilities = np.exp(row - row.max())
        probabilities /= probabilities.sum()
        best = probabilities.argsort()[::-1][:5]
        hits = tuple(
            Hit(key=pairs[chosen[j]].key, score=float(probabilities[j]), meta={"text": full_text(pairs[chosen[j]])})
            for j in best
        )
        answers.append(Answered(image=pairs[i].image, caption=full_text(pairs[i]), hits=hits, right=pairs[i].key))
    return answers


def write_showcase(showcase: Showcase, metrics: Path, path: Path, *, title: str, facts: Mapping[str, str]) -> None:
    """The report as one HTML page."""
    page = Page(
        title=title,
        summary=showcase.headline,
        facts=facts,
        results=showcase.results,
        chances=showcase.chances,
        metrics=read_metrics(metrics),
        words=showcase.words,
        pictures=showcase.pictures,
    )
    write_page(page, path)
