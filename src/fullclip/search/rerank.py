"""A caption and a stream of pictures in, the pictures that fit it best out, in bounded memory.

What DALL-E did with CLIP: draw 512 pictures for a caption, show the 32 that fit it best.
"""

import bisect
import operator
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from fullclip.core.types import Hit
from fullclip.data.contact_sheet import draw_cards
from fullclip.data.drops import Drops
from fullclip.inference import Encoder
from fullclip.inference.encoder import EncodedImages
from fullclip.preprocess.image import decode_image
from fullclip.search.candidates import UNREADABLE, Candidate, Intake
from fullclip.search.diversity import TIE, check_diversity, marginal_order
from fullclip.search.scores import harmonic_mean, likeness, weighted
from fullclip.zeroshot.prompts import TEMPLATE_SETS, check_templates, fill

MOST_ON_A_SHEET = 512
_LEFT, _MOST = 4, 8  # times `top`: how many candidates a diverse ranking chooses from


class Reranker:
    """Keeps the `top` pictures of a stream that fit a caption best.

    caption: a text, or several that say the same; each is put into each of `templates`, and the mean of their embeddings,
    normalised again, is what pictures are compared with (CLIP paper, section 3.1.4). `scores.PAPER_TEMPLATES` has CLIPScore's
    own. references: captions that people wrote for such a picture; scores then are RefCLIPScores. How like them the caption
    is, is the same for all pictures, so the order stays. diversity: from 0, the plain order, to 1 (`diversity.marginal_order`).
    truncate: cut sentences that are longer than the model reads. drops: where pictures that cannot be read are counted and
    named.

    In memory are the `top` best and what is being encoded, three batches at most. With a diversity, candidates are all
    pictures until there are 8 times `top` of them; then the last half, by the same formula, is let go, and so on, so that
    copies of one picture do not crowd out the others.

    However a stream is cut into calls of `add`, the answers are the same. Of pictures that fit alike (cosines to 1e-6) the
    first comes first. ValueError for an empty caption, one longer than the model reads, a template without `{}` and numbers
    out of their range.
    """

    def __init__(
        self,
        encoder: Encoder,
        caption: str | Sequence[str],
        *,
        top: int = 32,
        templates: Sequence[str] = TEMPLATE_SETS["label"],
        diversity: float = 0.0,
        references: Sequence[str] = (),
        truncate: bool = False,
        drops: Drops | None = None,
    ) -> None:
        captions = [caption] if isinstance(caption, str) else list(caption)
        check_texts(captions, templates=templates, references=references)
        if operator.index(top) < 1:
            raise ValueError(f"top is {top}: at least 1")
        check_diversity(diversity)
        self.encoder, self.top, self.diversity = encoder, top, diversity
        self.drops = Drops() if drops is None else drops
        self.text = _mean_embedding(encoder, captions, templates, truncate=truncate)
        self._likeness = None
        if references:
            told = [_mean_embedding(encoder, [one], templates, truncate=truncate) for one in references]
            self._likeness = likeness(self.text, np.stack(told))
        self.num_ranked = 0
        self._intake, self._pool = Intake(self.drops), _Pool(top, diversity)

    @property
    def num_seen(self) -> int:
        """How many pictures have come, with those that could not be read."""
        return self._intake.num_seen

    def add(self, images: Any) -> None:
        """Rank the pictures in `images` among those before: all that `candidates.Intake.read` takes, such as a list, a
        generator, or what a diffusion pipeline returns.

        Where it fails on the way, what came before is ranked, and its own error comes out.
        """
        stream = _Stream(self._intake.read(images))
        try:
            for found in self.encoder.stream_images(stream):
                self._rank(found, stream)
        except ValueError:
            if stream.error is not None:
                raise stream.error from None
            raise

    def best(self) -> list[Hit]:
        """The best so far, in order. key: a picture's path or name, else its position in the stream. score: its CLIPScore
        (`scores.clip_score`), or with references its RefCLIPScore. meta: position, cosine and CLIPScore.
        """
        return [self._hit(entry) for entry in self._pool.best()]

    def images(self) -> list[Image.Image]:
        """The pictures of `best`, in its order. ImageError where a file is no longer there."""
        return [_picture(entry.candidate) for entry in self._pool.best()]

    def files(self) -> list[str | Path | bytes | Image.Image]:
        """The same as they came: paths and files' bytes are not decoded."""
        return [entry.candidate.image for entry in self._pool.best()]

    def contact_sheet(self) -> Image.Image:
        """One picture of the best, with ranks, scores and names; at most 512 of them."""
        shown = self._pool.best()[:MOST_ON_A_SHEET]
        cards = ((_picture(entry.candidate), self._label(rank, entry)) for rank, entry in enumerate(shown, 1))
        return draw_cards(cards)

    def _rank(self, found: EncodedImages, stream: "_Stream") -> None:
        for index, error in found.failed:
            candidate = stream.taken(index)
            reason = str(error)
            for named in (
                f"{candidate.image}: " if isinstance(candidate.image, str | Path) else "these bytes: ",
                f"image {index}: ",
            ):
                reason = reason.removeprefix(named)
            self._drop(candidate, reason)
        for index, embedding in zip(found.indices, found.embeddings, strict=True):
            candidate, cosine = stream.taken(index), float(embedding @ self.text)
            if np.isfinite(cosine):
                self.num_ranked += 1
                self._pool.add(_Entry(cosine=cosine, candidate=candidate, embedding=embedding.copy()))
            else:
                self._drop(candidate, "the model's answer is not finite")

    def _drop(self, candidate: Candidate, reason: str) -> None:
        self.drops.drop(UNREADABLE, f"{_name(candidate)}: {reason}")

    def _hit(self, entry: "_Entry") -> Hit:
        fit = weighted(np.array([entry.cosine]))
        score = fit if self._likeness is None else harmonic_mean(fit, np.array([self._likeness]))
        meta = {"position": entry.candidate.position, "cosine": entry.cosine, "clip_score": float(fit[0])}
        return Hit(key=entry.candidate.key, score=float(score[0]), meta=meta)

    def _label(self, rank: int, entry: "_Entry") -> str:
        return f"{rank}. {self._hit(entry).score:.3f} {re.split('[/:]', _name(entry.candidate))[-1]}"


def check_texts(captions: Sequence[str], *, templates: Sequence[str], references: Sequence[str]) -> None:
    """ValueError where there is no caption, one is empty or not a text, or a template has no `{}`."""
    check_templates(templates)
    if isinstance(references, str):
        raise ValueError(f"references is a list of texts: [{references[:40]!r}]")
    if not captions:
        raise ValueError("no caption given: say in words what the pictures should show")
    for what, texts in (("caption", captions), ("reference", references)):
        for text in texts:
            if not isinstance(text, str):
                raise ValueError(f"a {what} is a {type(text).__name__}, expected a text")
            if not text.strip():
                raise ValueError(f"a {what} is empty: say in words what the pictures should show")


def _mean_embedding(
    encoder: Encoder, captions: Sequence[str], templates: Sequence[str], *, truncate: bool
) -> Float[np.ndarray, " embed"]:
    """The mean of the embeddings of all captions in all templates, of length 1."""
    mean = encoder.encode_texts([text for one in captions for text in fill(one, templates)], truncate=truncate).mean(axis=0)
    unit: np.ndarray = mean / np.linalg.norm(mean)
    return unit


@dataclass(frozen=True, kw_only=True, eq=False)
class _Entry:
    """A candidate that may be among the answers."""

    cosine: float
    candidate: Candidate
    embedding: np.ndarray


class _Pool:
    """Candidates that may be among the best, those that fit best first."""

    def __init__(self, top: int, diversity: float) -> None:
        self._top, self._diversity = top, diversity
        self._entries, self._order = list[_Entry](), list[tuple[float, int]]()

    def add(self, entry: _Entry) -> None:
        """Put a candidate into its place, behind those that fit as well, and let go what cannot be an answer."""
        place = bisect.bisect_left(self._order, (-entry.cosine, -1))
        for near in self._order[max(0, place - 1) : place + 1]:
            if abs(near[0] + entry.cosine) < TIE:
                entry = _Entry(cosine=-near[0], candidate=entry.candidate, embedding=entry.embedding)
                break
        mark = (-entry.cosine, entry.candidate.position)
        place = bisect.bisect(self._order, mark)
        self._order.insert(place, mark)
        self._entries.insert(place, entry)
        if not self._diversity:
            del self._order[self._top :], self._entries[self._top :]
        elif len(self._entries) >= _MOST * self._top:
            kept = sorted(self._chosen(_LEFT * self._top))
            self._order, self._entries = [self._order[i] for i in kept], [self._entries[i] for i in kept]

    def best(self) -> list[_Entry]:
        return [self._entries[place] for place in self._chosen(self._top)]

    def _chosen(self, number: int) -> list[int]:
        if not self._entries:
            return []
        return marginal_order(
            np.array([entry.cosine for entry in self._entries]),
            np.stack([entry.embedding for entry in self._entries]),
            top=number,
            diversity=self._diversity,
        )


class _Stream:
    """Candidates as an Encoder takes them; remembers each until its embedding has come."""

    def __init__(self, candidates: Iterator[Candidate]) -> None:
        self._candidates, self._waiting = candidates, dict[int, Candidate]()
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[str | Path | bytes | Image.Image]:
        try:
            for index, candidate in enumerate(self._candidates):
                self._waiting[index] = candidate
                yield candidate.image
        except Exception as error:  # whatever a user's own code raises
            self.error = error
            raise

    def taken(self, index: int) -> Candidate:
        return self._waiting.pop(index)


def _name(candidate: Candidate) -> str:
    return candidate.key if candidate.key != str(candidate.position) else f"image {candidate.position}"


def _picture(candidate: Candidate) -> Image.Image:
    image = candidate.image
    return image.copy() if isinstance(image, Image.Image) else decode_image(image, name=candidate.key)
