"""POST /v1/classify: pictures and words in, how well each word fits out, and whether any does."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter, Response

from fullclip.serve.errors import ApiError, refused
from fullclip.serve.parts import Parts
from fullclip.serve.routes.strict import strict_router
from fullclip.serve.schemas import ClassifyAnswer, ClassifyRequest
from fullclip.zeroshot.classifier import ZeroShotClassifier
from fullclip.zeroshot.negatives import NEGATIVE_TEMPLATES, default_negatives
from fullclip.zeroshot.outlier import OutlierDetector
from fullclip.zeroshot.prompts import PHOTO, check_labels, check_templates, fill


def router(parts: Parts) -> APIRouter:
    routes, negatives = strict_router(), _Negatives(parts)

    @routes.post("/v1/classify", response_model=ClassifyAnswer, tags=["model"])
    async def classify(asked: ClassifyRequest) -> Response:
        """Which of the labels fits each picture best, and with `reject` whether any does."""
        if (asked.image is None) == (asked.images is None):
            raise ApiError(400, "give either image or images", code="invalid_value")
        sent = [asked.image] if asked.image is not None else asked.images or []
        templates = PHOTO if asked.templates is None else asked.templates
        _check(asked.labels, templates, parts)
        names = [f"image {place}" for place in range(len(sent))]
        pictures = await parts.pictures(sent, names)
        weights = await _weights(asked.labels, templates, parts)
        embeddings = await parts.model.images(pictures, names)
        others = await negatives.weights() if asked.reject else None

        def results() -> list[dict[str, Any]]:
            encoder = parts.model.encoder
            classifier = ZeroShotClassifier(encoder, asked.labels, templates, scale=encoder.scale, weights=weights)
            probabilities = classifier.probabilities(embeddings)
            verdicts = _verdicts(classifier, embeddings, others)
            return [_result(row, asked.labels) | verdict for row, verdict in zip(probabilities, verdicts, strict=True)]

        with refused():
            return await parts.answer({"model": parts.name, "results": await parts.model.aside(results)})

    return routes


def _check(labels: Sequence[str], templates: Sequence[str], parts: Parts) -> None:
    """ApiError for labels and templates that make no classifier, or too large a one."""
    limits = parts.limits
    if len(labels) > limits.labels:
        raise ApiError(400, f"{len(labels)} labels: at most {limits.labels:,}", code="too_many_labels")
    if len(labels) * len(templates) > limits.prompts:
        given = f"{len(labels)} labels in {len(templates)} templates"
        raise ApiError(400, f"{given}: at most {limits.prompts:,} sentences", code="too_many_labels")
    parts.check_texts([*labels, *templates])
    with refused():
        check_labels(labels)
        check_templates(templates)


async def _weights(labels: Sequence[str], templates: Sequence[str], parts: Parts) -> np.ndarray:
    """A row for each label, as `zeroshot.classifier.class_weights` makes it, through the common batches."""
    longest = max(map(len, labels))
    for place, template in enumerate(templates):
        size = len(template) + template.count("{}") * (longest - 2)
        if size > parts.limits.text_characters:  # before they are made: of many {} and a long label, one would be of megabytes
            most = f"at most {parts.limits.text_characters:,}"
            raise ApiError(400, f"template {place} makes a text of {size:,} characters: {most}", code="text_too_long")
    prompts = [prompt for label in labels for prompt in fill(label, templates)]
    parts.check_texts(prompts)
    await parts.model.count(prompts)
    embeddings = await parts.model.texts(prompts)
    means = embeddings.reshape(len(labels), len(templates), -1).mean(axis=1)
    weights: np.ndarray = means / np.linalg.norm(means, axis=1, keepdims=True)
    return weights


class _Negatives:
    """The other words that labels are weighed against, embedded when they are first asked for."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._found, self._lock = parts, list[np.ndarray](), asyncio.Lock()

    async def weights(self) -> np.ndarray:
        async with self._lock:
            if not self._found:
                self._found.append(await _weights(default_negatives(), NEGATIVE_TEMPLATES, self._parts))
        return self._found[0]


def _verdicts(classifier: ZeroShotClassifier, embeddings: np.ndarray, others: np.ndarray | None) -> list[dict[str, Any]]:
    if others is None:
        return [{"none_of_these": None, "outlier_score": None, "threshold": None}] * len(embeddings)
    detector = OutlierDetector(classifier, negatives=default_negatives(), negative_weights=others)
    scores, rejected = detector.scores(embeddings), detector.predict(embeddings)
    return [
        {"none_of_these": bool(no), "outlier_score": float(score), "threshold": detector.threshold}
        for no, score in zip(rejected, scores, strict=True)
    ]


def _result(row: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    return {"label": labels[int(row.argmax())], "probabilities": dict(zip(labels, row.tolist(), strict=True))}
