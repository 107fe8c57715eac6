"""Natural distribution shifts: the line and who is above it (Figure 13), what adapting to the reference does (Figure 14)."""

from collections.abc import Sequence
from dataclasses import replace

from fullclip.evaluation.report.combine import difference
from fullclip.evaluation.report.comparisons import compare_records
from fullclip.evaluation.report.document import Block, Cell, Folded, Number, Picture, Points, Section, Table, Text, fold_all_but
from fullclip.evaluation.report.figures.bars import Bar, differences
from fullclip.evaluation.report.figures.logit import Plane, Spot, planes
from fullclip.evaluation.report.runs import Run
from fullclip.evaluation.report.shifts import ADAPTED, AVERAGE, ZERO_SHOT, Entry, Shift
from fullclip.evaluation.report.wording import DASH, between, counts, listed, percent, points
from fullclip.evaluation.suite.records import Record

_KINDS = {"zero-shot": "zero-shot", "adapted": "adapted", "baseline": "baseline", "published": "published"}
_OF_A_LINE = ("expected", "effective", "relative")
_NO_LINE = (
    "There is no line, and so no effective robustness: it takes three models that were trained on the reference's own kind of"
    " data. Give their evaluations with --baseline, or published accuracies with --line models.csv."
)


def robustness(shifts: Sequence[Shift]) -> Section:
    """The figure of the average, or of the one shift; a panel and rows for each; `shifts` are of one reference."""
    reference = shifts[0].reference
    words = (
        f"Accuracy on sets that show {reference}'s classes otherwise, against accuracy on {reference}'s own images of the same"
        " classes (section 3.3 of the paper). Effective robustness is what a model has above the line through the baselines;"
        " relative robustness is what it has above the first baseline, whatever both have on the reference."
    )
    first = shifts[0]
    blocks: list[Block] = [Text(words), _figure(first)]
    if first.line is None:
        blocks.append(Text(_NO_LINE))
    else:
        sign, size = "+" if first.line.intercept >= 0 else "−", abs(first.line.intercept)
        blocks.append(Text(f"The line: logit(shift) = {first.line.slope:.2f} · logit(reference) {sign} {size:.2f}."))
    blocks += [Points(_sentences(first)), table(shifts)]
    each = [shift for shift in shifts if shift.name != AVERAGE]
    if len(each) > 1:
        panels = Picture(
            svg=planes([_plane(_without_adapted(shift)) for shift in each], reference=reference, columns=3),
            caption="The same for each shift; both axes are accuracies in %, in logits.",
            alt=f"A panel for each of {listed(shift.name for shift in each)}.",
        )
        blocks.append(Folded(summary="Each shift's own line", blocks=[panels]))
    return Section(title=f"Robustness to shifts of {reference}", blocks=blocks)


def _figure(shift: Shift) -> Picture:
    over = f"the average over {listed(shift.parts)}" if shift.parts else shift.name
    told = "; ".join(
        f"{entry.accuracies.model} {percent(entry.accuracies.reference)}% and {percent(entry.accuracies.shift)}%"
        for entry in shift.measured
    )
    return Picture(
        svg=planes([_plane(_without_adapted(shift))], reference=shift.reference),
        caption=(
            f"In the manner of the paper's Figure 13: {over}, against {shift.reference}, both in logits. Stars are zero-shot,"
            " open marks probes that were fitted on the reference, dots the models that the line goes through."
        ),
        alt=f"Accuracy on {shift.reference} and under shift: {told}.",
    )


def _without_adapted(shift: Shift) -> Shift:
    """Figure 13 shows a model adapted only where it knows no other way."""
    zero_shot = {entry.accuracies.model for entry in shift.entries if entry.kind == "zero-shot"}
    kept = [entry for entry in shift.entries if entry.kind != "adapted" or entry.accuracies.model not in zero_shot]
    return replace(shift, entries=tuple(kept))


def _plane(shift: Shift) -> Plane:
    spots = [
        Spot(
            name=entry.accuracies.model,
            kind=entry.kind,
            reference=entry.accuracies.reference,
            shift=entry.accuracies.shift,
            place=entry.place,
        )
        for entry in shift.entries
    ]
    line = shift.line
    return Plane(
        title=shift.name,
        spots=spots,
        expected=None if line is None else line.expected,
        band=None if line is None else line.band,
    )


def _sentences(shift: Shift) -> list[str]:
    """Each model's effective robustness in words."""
    told = []
    for entry in shift.entries:
        found = shift.robust.get((entry.kind, entry.accuracies.model))
        if found is None:
            continue
        size = f"{points(abs(found.effective)).lstrip('+')} points {'above' if found.effective > 0 else 'below'} the line"
        low, high = found.effective_interval
        sure = "" if not low <= 0 <= high else ", which may be chance"
        told.append(
            f"{found.model}, {_KINDS[entry.kind]}, is {size} on {shift.name}"
            f" ({between(found.effective_interval, signed=True)}){sure}."
        )
    return told


def table(shifts: Sequence[Shift]) -> Table:
    """A row for each measured model and shift."""
    rows: list[list[Cell]] = []
    for shift in shifts:
        rows += [[shift.name, entry.accuracies.model, _KINDS[entry.kind], *_numbers(shift, entry)] for entry in shift.measured]
    columns = ["shift", "model", "kind", shifts[0].reference, "under shift", *_OF_A_LINE, "n"]
    if all(shift.line is None for shift in shifts):  # three columns of dashes
        rows = [[*row[:5], row[-1]] for row in rows]
        note = f"Accuracies in %. {shifts[0].reference}: on the classes that the shift has. n: images of the shift / of it."
        return Table(columns=[*columns[:5], "n"], rows=rows, note=note)
    note = (
        f"Accuracies in %, robustness in points with 95% intervals. {shifts[0].reference}: on the classes that the shift has."
        " Adapted: by a probe on it. Expected: by the line."
        " n: images of the shift / of the reference; of the average those of all shifts / the most of the reference."
    )
    return Table(columns=columns, rows=rows, note=note)


def _numbers(shift: Shift, entry: Entry) -> list[Cell]:
    one = entry.accuracies
    found = shift.robust.get((entry.kind, one.model))
    expected = Number(value=DASH)
    if shift.line is not None:
        expected = Number(value=percent(shift.line.expected(one.reference)), interval=between(shift.line.band(one.reference)))
    effective = relative = Number(value=DASH)
    if found is not None:
        effective = Number(value=points(found.effective), interval=between(found.effective_interval, signed=True))
        if found.relative is not None and found.relative_interval is not None:
            relative = Number(value=points(found.relative), interval=between(found.relative_interval, signed=True))
    numbers = counts([entry.num_shift, entry.num_reference])
    return [Number(value=percent(one.reference)), Number(value=percent(one.shift)), expected, effective, relative, numbers]


def adapting(runs: Sequence[Run], shifts: Sequence[Shift]) -> Section | None:
    """Figure 14: what a probe on the reference changes, for models that were asked both ways."""
    reference = shifts[0].reference
    both = [run for run in runs if _tasks(run, reference)]
    if not both:
        return None
    words = (
        f"A probe on {reference} knows its images, and not only its words. In the paper it gains 9.2 points on ImageNet and"
        " loses a little under shift."
    )
    titles = [f"{run.name}: zero-shot and adapted" for run in both]
    blocks: list[Block] = [Text(words)]
    blocks += fold_all_but(1, titles, [[_changes(run, reference)] for run in both])
    names = {run.name for run in both}
    plane = _plane(shifts[0])
    kept = [spot for spot in plane.spots if spot.place is None or spot.name in names or spot.kind == "baseline"]
    moved = Plane(title=plane.title, spots=kept, expected=plane.expected, band=plane.band)
    over = f"the average over {listed(shifts[0].parts)}" if shifts[0].parts else shifts[0].name
    blocks.append(
        Picture(
            svg=planes([moved], reference=reference),
            caption=f"In the manner of the paper's Figure 14: from zero-shot (star) to adapted (open mark), {over}, in logits.",
            alt=f"Arrows from zero-shot to adapted on the plane of accuracies for {listed(names)}.",
        )
    )
    return Section(title=f"What adapting to {reference} changes", blocks=blocks)


def _tasks(run: Run, reference: str) -> list[str]:
    zero_shot, adapted = run.of(ZERO_SHOT), run.of(ADAPTED)
    return [task for task in sorted(zero_shot) if task in adapted and zero_shot[task].details["reference"] == reference]


def _changes(run: Run, reference: str) -> Picture:
    """Bars of adapted less zero-shot: each shift by the paired test, and the reference's images of its classes."""
    bars = []
    for task in _tasks(run, reference):
        before, after = run.records[ZERO_SHOT, task], run.records[ADAPTED, task]
        bars.append(_bar(task, *_change(before, after)))
        value, interval = difference(before.results[1], after.results[1])
        bars.append(_bar(f"{reference}, {task}'s classes", value, interval))
    told = "; ".join(f"{bar.name} {points(bar.value)}" for bar in bars)
    return Picture(
        svg=differences(bars, label="adapted less zero-shot, percentage points"),
        caption=(
            f"In the manner of the paper's Figure 14: what a linear probe fitted on {reference} changes for {run.name}, with"
            " 95% intervals; pale bars may be chance."
        ),
        alt=f"Bar chart of changes in points: {told}.",
    )


def _change(before: Record, after: Record) -> tuple[float, tuple[float, float]]:
    """Of accuracy on the shift, paired; by the two intervals where the two were not of the same images."""
    try:
        found = compare_records(before, after)
    except ValueError:
        return difference(before.results[0], after.results[0])
    return found.difference, found.interval


def _bar(name: str, value: float, interval: tuple[float, float]) -> Bar:
    low, high = interval
    return Bar(name=name, value=value, low=low, high=high, is_sure=not low <= 0 <= high)
