"""Accuracies under natural shifts: each model on a reference and its shifts, the line through the models that are not asked
about, and robustness against it (section 3.3).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fullclip.core.config import nearest
from fullclip.evaluation.report.runs import Run
from fullclip.evaluation.statistics.robustness import Accuracies, Fit, Robustness, average, fit, robustness
from fullclip.evaluation.suite.records import Record

AVERAGE = "average"
ZERO_SHOT, ADAPTED = "robustness", "adapted-robustness"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model's accuracies on one shift, or on the average of several. `kind` is "zero-shot", "adapted" (a probe that was
    fitted on the reference), "baseline" or "published"; `place` gives the colour, None for the published.
    `num_shift` and `num_reference` are numbers of images: of an average those of all its shifts, and the most that one of them
    has of the reference.
    """

    accuracies: Accuracies
    kind: str
    num_shift: int
    num_reference: int
    place: int | None = None

    @property
    def is_on_the_line(self) -> bool:
        return self.kind in ("baseline", "published")


@dataclass(frozen=True, kw_only=True)
class Shift:
    """A shift, or the average of several: who was measured, the line (None for fewer than three models to fit it through),
    and for each entry that is not on the line its robustness.
    """

    name: str
    reference: str
    entries: tuple[Entry, ...]
    line: Fit | None
    robust: Mapping[tuple[str, str], Robustness]
    parts: tuple[str, ...] = ()

    @property
    def measured(self) -> tuple[Entry, ...]:
        """All but the published ones."""
        return tuple(entry for entry in self.entries if entry.kind != "published")


def shifts_of(runs: Sequence[Run], published: Mapping[str, Sequence[Accuracies]]) -> dict[str, list[Shift]]:
    """By reference: the average over the shifts that every model has, where there are two, then each shift.

    ValueError where none of the published models' shifts was measured.
    """
    found: dict[str, dict[str, list[Entry]]] = {}
    for run in runs:
        for protocol in (ZERO_SHOT, ADAPTED):
            for task, record in run.of(protocol).items():
                if run.is_baseline and protocol == ZERO_SHOT and run.record(ADAPTED, task) is not None:
                    continue  # a line is through models that learned on the reference
                place = found.setdefault(str(record.details["reference"]), {}).setdefault(task, [])
                place.append(_entry(run, record))
    names = sorted({name for shifts in found.values() for name in shifts})
    if published and not set(published) & set(names):
        first = sorted(published)[0]
        raise ValueError(
            f"the published models are of {first!r}{nearest(first, names) if names else ', but no shift is measured'}"
        )
    for shifts in found.values():
        for name, entries in shifts.items():
            entries += [_of(one, "published") for one in published.get(name, ())]
    told = {}
    for reference, shifts in sorted(found.items()):
        each = [_shift(name, reference, entries) for name, entries in sorted(shifts.items())]
        told[reference] = [*_average(reference, shifts), *each]
    return told


def _entry(run: Run, record: Record) -> Entry:
    on_shift, on_reference = record.results[:2]
    accuracies = Accuracies(
        model=run.name,
        reference=on_reference.value,
        shift=on_shift.value,
        reference_n=on_reference.n,
        shift_n=on_shift.n,
    )
    kind = "baseline" if run.is_baseline else "zero-shot" if record.protocol == ZERO_SHOT else "adapted"
    return _of(accuracies, kind, place=run.place)


def _of(one: Accuracies, kind: str, *, place: int | None = None) -> Entry:
    return Entry(accuracies=one, kind=kind, num_shift=one.shift_n, num_reference=one.reference_n, place=place)


def _average(reference: str, shifts: Mapping[str, Sequence[Entry]]) -> list[Shift]:
    """Over the shifts that all measured models have; of the models, those that have them all."""
    by_model: dict[tuple[str, str], dict[str, Entry]] = {}
    for name, entries in shifts.items():
        for entry in entries:
            by_model.setdefault((entry.kind, entry.accuracies.model), {})[name] = entry
    measured = [set(own) for (kind, _), own in by_model.items() if kind in ("zero-shot", "adapted")]
    measured = measured or [set(own) for (kind, _), own in by_model.items() if kind == "baseline"]
    parts = sorted(set.intersection(*measured))
    if len(parts) < 2:
        return []
    entries = []
    for (kind, _), own in by_model.items():
        if set(parts) <= set(own):
            of_all = [own[name] for name in parts]
            entry = Entry(
                accuracies=average([one.accuracies for one in of_all]),
                kind=kind,
                num_shift=sum(one.num_shift for one in of_all),
                num_reference=max(one.num_reference for one in of_all),
                place=of_all[0].place,
            )
            entries.append(entry)
    return [_shift(AVERAGE, reference, entries, parts=tuple(parts))]


def _shift(name: str, reference: str, entries: Sequence[Entry], *, parts: tuple[str, ...] = ()) -> Shift:
    on_line = [entry.accuracies for entry in entries if entry.is_on_the_line]
    line = fit(on_line) if len({one.reference for one in on_line}) >= 3 else None
    baseline = next((entry.accuracies for entry in entries if entry.kind == "baseline"), None)
    robust = {}
    if line is not None:
        for entry in entries:
            if not entry.is_on_the_line:
                key = (entry.kind, entry.accuracies.model)
                robust[key] = robustness(entry.accuracies, line, baseline=baseline)
    return Shift(name=name, reference=reference, entries=tuple(entries), line=line, robust=robust, parts=parts)
