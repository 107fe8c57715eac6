"""What probes tell beside their scores: zero-shot against one's own probe (Figure 8), scores against work (Figure 10)."""

from collections.abc import Sequence

import numpy as np

from fullclip.core.extras import require
from fullclip.evaluation.report.combine import average
from fullclip.evaluation.report.document import Block, Picture, Points, Section, Text
from fullclip.evaluation.report.figures.scatter import Cloud, Worth, against_diagonal, against_work
from fullclip.evaluation.report.runs import Run, fact, shared_tasks
from fullclip.evaluation.report.wording import listed, percent


def against_own_probe(runs: Sequence[Run]) -> Section | None:
    """Figure 8: each set's zero-shot score against the score of a probe on the same features, with Pearson's correlation."""
    clouds, told = [], []
    for run in runs:
        tasks = [task for task in sorted(run.of("zero-shot")) if _same_metric(run, task)]
        points = [(task, _value(run, "probe", task), _value(run, "zero-shot", task)) for task in tasks]
        if len(points) > 1:
            clouds.append(Cloud(name=run.name, place=run.place, points=points))
            told.append(f"{run.name}: {correlation([x for _, x, _ in points], [y for _, _, y in points])}")
    if not clouds:
        return None
    picture = Picture(
        svg=against_diagonal(clouds, x_label="linear probe, %", y_label="zero-shot, %"),
        caption=(
            "In the manner of the paper's Figure 8: a point for each set, zero-shot against a linear probe on the same model's"
            " features. On the dashed diagonal zero-shot has all that its features have to give. The paper finds r = 0.82."
        ),
        alt=f"Scatter of zero-shot scores against linear probe scores. {' '.join(told)}",
    )
    return Section(title="Zero-shot against its own probe", blocks=[picture, Points(told)])


def _same_metric(run: Run, task: str) -> bool:
    one, other = run.result("zero-shot", task), run.result("probe", task)
    return one is not None and other is not None and one.metric == other.metric


def _value(run: Run, protocol: str, task: str) -> float:
    return run.records[protocol, task].results[0].value


def correlation(xs: Sequence[float], ys: Sequence[float]) -> str:
    """Pearson's r in words, with its 95% interval (Fisher's transformation), which takes four sets."""
    n = len(xs)
    if n < 3 or np.ptp(xs) == 0 or np.ptp(ys) == 0:
        return f"{n} sets are too few, or too much alike, for a correlation."
    found = require("scipy.stats", extra="eval").pearsonr(xs, ys)
    if n < 4:
        return f"r = {_r(found.statistic)} over {n} sets, too few for an interval."
    low, high = found.confidence_interval(0.95)
    return f"r = {_r(found.statistic)} (95% interval {_r(low)} to {_r(high)}) over {n} sets."


def _r(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def against_compute(runs: Sequence[Run]) -> Section | None:
    """Figure 10: average probe score over the sets that all share, against GFLOPs per image."""
    own = [run for run in runs if run.of("probe") and isinstance(fact(run, "gflops"), int | float) and fact(run, "gflops") > 0]
    shared = shared_tasks(own, "probe")
    if len(own) < 2 or not shared:
        return None
    worth = []
    for run in own:
        mean = average([run.records["probe", task].results[0] for task in shared], task="average")
        low, high = mean.interval
        worth.append(
            Worth(name=run.name, place=run.place, gflops=float(fact(run, "gflops")), score=mean.value, low=low, high=high)
        )
    told = "; ".join(f"{one.name} {percent(one.score)}% at {one.gflops:.3g} GFLOPs" for one in worth)
    picture = Picture(
        svg=against_work(worth),
        caption=(
            f"In the manner of the paper's Figure 10: the average score of linear probes on {len(shared)} sets against the"
            " operations of one image's forward pass, with 95% intervals."
        ),
        alt=f"Scatter of average linear probe scores against GFLOPs per image: {told}.",
    )
    blocks: list[Block] = [picture, Text(f"The sets: {listed(shared, most=40)}.")]
    without = [run.name for run in runs if run.of("probe") and run not in own]
    if without:
        blocks.append(Text(f"GFLOPs are not known of {listed(without)}."))
    return Section(title="Probes against compute", blocks=blocks)
