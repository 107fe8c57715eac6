"""Pictures that are nearly the same, as one answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

NEARLY_THE_SAME = 0.95  # cosine; a smaller JPEG of a picture stays above 0.97, two photographs of a thousand below 0.86


@dataclass(frozen=True, kw_only=True)
class Folded:
    """The place of an answer among those found, and the places of later ones that show the same."""

    first: int
    others: list[int] = field(default_factory=list)


def fold(vectors: np.ndarray, *, top: int, same: float = NEARLY_THE_SAME) -> Sequence[Folded]:
    """[n, dim], of length 1, best first -> at most `top` groups in the order of their firsts. A vector joins the first group
    whose first it is nearly the same as; what comes after the last group is still joined to one, or left out.
    """
    firsts, groups = np.empty((min(top, len(vectors)), vectors.shape[1]), dtype=np.float32), list[Folded]()
    for place, vector in enumerate(vectors):
        alike = firsts[: len(groups)] @ vector
        if len(groups) and alike.max() >= same:
            groups[int(np.argmax(alike >= same))].others.append(place)
        elif len(groups) < top:
            firsts[len(groups)] = vector
            groups.append(Folded(first=place))
    return groups
