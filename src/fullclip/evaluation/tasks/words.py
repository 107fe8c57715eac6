"""The words that a known set's classes are asked by: those that the paper's authors published, class by class.

A set's own list of classes comes in. It may be the authors' folders, numbers, WordNet ids, or another spelling; where each of
its classes can be told to be one of ours, it gets our names, else the set's own stay, and the task's note says so.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from fullclip.evaluation.datasets import (
    Dataset,
    class_names,
    folder_names,
    imagenet_classes,
    imagenet_wordnet_ids,
    templates,
)
from fullclip.evaluation.tasks.task import Task, noted

_OWN = "The set's own class names, not those that openai/CLIP published."
_IDS = "Its classes are WordNet ids, which no caption holds: give them names in a task.toml, under [classes]."
_WORDNET_ID = re.compile(r"n[0-9]{8}")
_SORTED_BY_CODE = {"country211": re.compile(r"[A-Z]{2}")}  # our names are in the order of the folders' codes


def with_the_papers_words(task: Task, dataset: Dataset) -> Task:
    """A known set's task with the published names, in the order of its own labels, and the published sentences; of a shift also
    which class of ImageNet each is.
    """
    sentences = templates(task.name) or templates(dataset.reference) or task.templates
    task = replace(task, templates=sentences, reference=dataset.reference or task.reference)
    if task.kind == "retrieval":
        return task
    ours, numbers = class_names(task.name), imagenet_classes(task.name)
    if not ours and dataset.reference:  # a shift of the same thousand classes
        ours = class_names(dataset.reference)
        numbers = tuple((number,) for number in range(len(ours)))
    order = order_of([names[0] for names in task.classes], task.name, ours, numbers)
    if order is None:
        return replace(task, note=noted(task.note, _OWN)) if ours else task
    references = tuple(numbers[place] for place in order) if numbers else task.reference_classes
    return replace(task, classes=tuple(ours[place] for place in order), reference_classes=references)


def with_imagenets_names(task: Task) -> Task:
    """A user's own task, whose folders are called by WordNet ids: ImageNet's names for them."""
    ids = [names[0] for names in task.classes]
    if not ids or not all(_WORDNET_ID.fullmatch(each) for each in ids):
        return task
    known = dict(zip(imagenet_wordnet_ids(), class_names("imagenet"), strict=True))
    if not all(each in known for each in ids):
        return replace(task, note=noted(task.note, _IDS))
    return replace(task, classes=tuple(known[each] for each in ids))


def order_of(
    theirs: Sequence[str], known: str, ours: Sequence[tuple[str, ...]], numbers: Sequence[tuple[int, ...]]
) -> list[int] | None:
    """For each of a set's classes the place of ours that is the same, or None where that cannot be told of every one."""
    if len(theirs) != len(ours):
        return None
    ways: tuple[Callable[[], list[int | None]], ...] = (
        lambda: _by_name(theirs, ours),
        lambda: _by_name(theirs, [tuple(line.split(" | ")) for line in folder_names(known)]),
        lambda: _by_number(theirs),
        lambda: _by_wordnet_id(theirs, numbers if known != "imagenet" else [(number,) for number in range(len(ours))]),
        lambda: _by_code(theirs, known),
        lambda: _by_neighbours(theirs, ours),
    )
    for way in ways:
        order = [place for place in way() if place is not None]
        if len(order) == len(ours) == len(set(order)):
            return order
    return None


def _by_name(theirs: Sequence[str], ours: Sequence[tuple[str, ...]]) -> list[int | None]:
    """By any of our names; a name that two of ours have (ImageNet's) is theirs in the same order."""
    places = defaultdict[str, list[int]](list)
    for place, names in enumerate(ours):
        for name in dict.fromkeys(map(_plain, names)):
            places[name].append(place)
    return [places[_plain(name)].pop(0) if places[_plain(name)] else None for name in theirs]


def _plain(name: str) -> str:
    """A name without what differs from one list to another: case, spaces, hyphens, underscores."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _by_number(theirs: Sequence[str]) -> list[int | None]:
    """Labels as names, from 0 or from 1."""
    if not all(name.isascii() and name.isdigit() and len(name) < 10 for name in theirs):
        return []
    numbers = [int(name) for name in theirs]
    return (
        [number - min(numbers) for number in numbers] if min(numbers) < 2 and max(numbers) - min(numbers) < len(theirs) else []
    )


def _by_wordnet_id(theirs: Sequence[str], numbers: Sequence[tuple[int, ...]]) -> list[int | None]:
    ids = imagenet_wordnet_ids()
    places = {ids[each]: place for place, own in enumerate(numbers) for each in own if len(own) == 1}
    return [places.get(name) for name in theirs]


def _by_code(theirs: Sequence[str], known: str) -> list[int | None]:
    code = _SORTED_BY_CODE.get(known)
    if code is None or not all(code.fullmatch(name) for name in theirs):
        return []
    ranks = {name: rank for rank, name in enumerate(sorted(theirs))}
    return [ranks[name] for name in theirs]


def _by_neighbours(theirs: Sequence[str], ours: Sequence[tuple[str, ...]]) -> list[int | None]:
    """The same order throughout, where at least half of the names are found, each at its own place: what stands between them
    is spelled in another way.
    """
    found = _by_name(theirs, ours)
    own = sum(place == number for number, place in enumerate(found))
    strange = any(place not in (None, number) for number, place in enumerate(found))
    return [] if strange or 2 * own < len(theirs) else list(range(len(theirs)))
