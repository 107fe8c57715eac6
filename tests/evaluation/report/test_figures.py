"""Figures are well-formed SVG in the page's own colours, and show the numbers that they were given."""

import base64
import io
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from fullclip.evaluation.report.figures.bars import Bar, Shots, differences, equal_shots, per_class
from fullclip.evaluation.report.figures.curves import Curve, Reliability, few_shot, reliability
from fullclip.evaluation.report.figures.drawing import INK, NUM_COLOURS, colour, draw, marker
from fullclip.evaluation.report.figures.histograms import inside_outside
from fullclip.evaluation.report.figures.labels import label_points
from fullclip.evaluation.report.figures.logit import Plane, Spot, planes
from fullclip.evaluation.report.figures.matrix import confusion
from fullclip.evaluation.report.figures.scatter import Cloud, Overlapping, Worth, against_diagonal, against_work, overlap
from fullclip.evaluation.report.page import own_ids

HOSTILE = "<script>$x_1$ & “é” 猫"
BINS = [{"confidence": x, "accuracy": x / 2, "low": 0.0, "high": x} for x in (0.3, 0.6)]
FIGURES = {
    "differences": lambda: differences([Bar(name=HOSTILE, value=0.1, low=-0.1, high=0.2)], label="points"),
    "equal shots": lambda: equal_shots(
        [
            Shots(name=HOSTILE, value=3.0, interval=(2.0, 5.0), said="3.0"),
            Shots(name="b", value=None, interval=None, said="more than 16"),
        ],
        fewest=1.0,
        most=16.0,
        place=0,
    ),
    "one model's classes": lambda: per_class([HOSTILE, "b"], [("m", 0, [0.5, None])]),
    "two models' classes": lambda: per_class([HOSTILE, "b"], [("m", 0, [0.5, None]), (HOSTILE, 1, [0.1, 0.9])]),
    "few-shot": lambda: few_shot(
        [
            Curve(name=name, place=0, shots=[1, 2], scores=[(0.1, 0.0, 0.2)] * 2, zero_shot=(0.2, 0.1, 0.3))
            for name in (HOSTILE, "b")
        ]
    ),
    "reliability": lambda: reliability([Reliability(name=name, place=0, before=BINS, after=BINS) for name in (HOSTILE, "b")]),
    "own probe": lambda: against_diagonal([Cloud(name="m", place=0, points=[(HOSTILE, 0.5, 0.4)])], x_label="x", y_label="y"),
    "work": lambda: against_work([Worth(name=HOSTILE, place=0, gflops=4.0, score=0.5, low=0.4, high=0.6)]),
    "overlap": lambda: overlap(
        [Overlapping(name=HOSTILE, share=0.0, difference=0.1, low=0.0, high=0.2, gain=0.0, is_sure=True)]
    ),
    "plane": lambda: planes(
        [
            Plane(
                title=HOSTILE,
                spots=[Spot(name=HOSTILE, kind="zero-shot", reference=1.0, shift=0.0, place=0)],
                expected=None,
                band=None,
            )
        ],
        reference="photos",
    ),
    "histograms": lambda: inside_outside(
        {HOSTILE: {"in": [1, 0], "out": [0, 0], "edges": [0, 1, 2]}}, inside=HOSTILE, outside="b"
    ),
    "matrix": lambda: confusion(np.array([[3, 1], [0, 0]]), [HOSTILE, "b"]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_well_formed_and_needs_nothing(name):
    svg = FIGURES[name]()
    root = ET.fromstring(svg)  # noqa: S314
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert any("script" in "".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text"))
    assert "<script" not in svg
    assert "metadata" not in svg
    assert not re.search(r"#fe0\d", svg)
    assert "var(--" in svg
    links = [value for element in root.iter() for key, value in element.attrib.items() if key.endswith(("href", "src"))]
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    assert len(svg) < 60_000


def test_the_same_figure_is_drawn_the_same():
    assert FIGURES["few-shot"]() == FIGURES["few-shot"]()


def test_two_figures_on_a_page_share_no_name():
    svg = FIGURES["few-shot"]()
    both = own_ids(svg, "f1-") + own_ids(svg, "f2-")
    ids = re.findall(r' id="([^"]*)"', both)
    assert ids
    assert len(ids) == len(set(ids))
    targets = re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", both)
    assert set(targets) == set(ids)


def test_models_beyond_the_colours_differ_in_their_marks():
    seen = {(colour(place), marker(place)) for place in range(3 * NUM_COLOURS)}
    assert len(seen) == 3 * NUM_COLOURS


def test_bars_reach_as_far_as_their_numbers():
    values = [0.1, -0.05, 0.2]
    svg = differences([Bar(name=str(i), value=v, low=v, high=v) for i, v in enumerate(values)], label="points")
    root = ET.fromstring(svg)  # noqa: S314
    bars = [
        path.attrib["d"]
        for path in root.iter("{http://www.w3.org/2000/svg}path")
        if "opacity: 0.85" in path.attrib.get("style", "")
    ]
    widths = [np.ptp([float(x) for x in re.findall(r"[ML] (\S+) ", d)]) for d in bars]
    assert len(widths) == 3
    np.testing.assert_allclose(np.array(widths) / widths[0], np.sort(np.abs([-0.05, 0.1, 0.2])) / 0.05, rtol=1e-3)


@pytest.mark.parametrize("num_classes", [3, 40, 100])
def test_a_matrix_has_a_pixel_for_each_cell(num_classes):
    counts = np.random.default_rng(0).integers(0, 9, (num_classes, num_classes))
    svg = confusion(counts, [f"class {i}" for i in range(num_classes)])
    image = Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", svg).group(1))))
    shares = (np.asarray(image)[..., 3] / 255 / 0.85) ** 2
    np.testing.assert_allclose(shares, counts / counts.sum(axis=1, keepdims=True), atol=0.01)
    assert ('text-anchor="middle"' in svg) == (num_classes <= 12)
    assert len(svg) < 60_000


def test_names_cover_neither_names_nor_points():
    random = np.random.default_rng(0)
    xs, ys = random.random(40), random.random(40)
    written = []

    def paint(axes):
        axes[0, 0].plot(xs, ys, "o", color=INK)
        axes[0, 0].set_xlim(-0.1, 1.1)
        axes[0, 0].set_ylim(-0.1, 1.1)
        written.append(label_points(axes[0, 0], list(xs), list(ys), [f"name {i}" for i in range(40)]))
        figure = axes[0, 0].figure
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in axes[0, 0].texts]
        assert len(boxes) == written[0]
        assert not any(boxes[i].overlaps(boxes[j]) for i in range(len(boxes)) for j in range(i))
        places = axes[0, 0].transData.transform(np.column_stack([xs, ys]))
        assert not any(box.contains(*place) for box in boxes for place in places)

    draw(paint, height=4.0)
    assert 15 < written[0] <= 40
