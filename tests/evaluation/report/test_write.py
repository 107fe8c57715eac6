"""The whole report: its numbers are the records', it needs nothing beside it, and it is there whatever is missing."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluations import begin, calibrated, classified, few_shot, overlapping, rejected, retrieved, share, shifted
from fullclip.core.config import to_dict
from fullclip.evaluation.report.document import Link, Number, Section, Table, Text
from fullclip.evaluation.report.markdown import to_markdown
from fullclip.evaluation.report.wording import between, number, percent
from fullclip.evaluation.report.write import write_report
from fullclip.evaluation.suite.records import Record, lines_of, read_records, write_record

HOSTILE = "<script>alert(1)</script>"
CURVE = (0.2, 0.3, 0.4, 0.5, 0.6)
VOID = {"meta", "br", "img", "image", "rect", "use", "path", "stop", "link", "hr", "input"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("evaluations")
    for place, name in enumerate(("clip & co", "clip-large")):
        folder = begin(root / f"clip{place}", name, gflops=4.4 * (place + 1), image_size=32, source={"home": "<nowhere>"})
        for task, skill in (("cifar10", 0.5), (HOSTILE, 0.6), ("shapes", 0.7), ("pets", 0.3)):
            classes = ("a|b", HOSTILE, "crème & cake")
            dataset = task if task == "cifar10" else ""
            classified(folder, task, skill + 0.1 * place, classes=classes, seed=place, dataset=dataset)
            classified(folder, task, skill + 0.25, classes=classes, seed=place, protocol="probe")
            few_shot(folder, task, CURVE, zero_shot=0.45, equals=5.6)
        shifted(folder, "art", 0.6 + 0.1 * place, 0.5)
        shifted(folder, "sketch", 0.6 + 0.1 * place, 0.4)
        shifted(folder, "art", 0.7 + 0.1 * place, 0.45, protocol="adapted-robustness")
        overlapping(folder, "cifar10", overlap=(28, 30), clean=(100, 200), p_value=1e-5)
        overlapping(folder, "shapes", overlap=(5, 10), clean=(50, 100), p_value=0.6)
        overlapping(folder, "pets", overlap=(0, 0), clean=(50, 100), p_value=1.0)
        calibrated(folder, "cifar10", 0.123)
        rejected(folder, "cifar10", "shapes", 0.8)
        retrieved(folder, "pairs", [[1, 0], [place, 1], [1, 1], [0, 0]])
    for place, name in enumerate(("net.onnx", "other.onnx")):
        folder = begin(root / f"net{place}", name, gflops=1.0 + place)
        for task in ("cifar10", "shapes"):
            classified(folder, task, 0.4, classes=("a|b", HOSTILE, "crème & cake"), seed=5 + place, protocol="probe")
            few_shot(folder, task, CURVE, zero_shot=None)
        for shift in ("art", "sketch"):
            shifted(folder, shift, 0.5 + 0.1 * place, 0.2 + 0.1 * place, protocol="adapted-robustness")
    head = "model,shift,reference_accuracy,shift_accuracy,reference_n,shift_n\n"
    lines = [f"p{i},{shift},{0.3 + i / 10},{0.1 + i / 10},5000,900" for i in range(4) for shift in ("art", "sketch")]
    (root / "models.csv").write_text(head + "\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def report(folders):
    baselines = [folders / "net0", folders / "net1"]
    return write_report(
        [folders / "clip0", folders / "clip1"], folders / "out.html", baselines=baselines, line=folders / "models.csv"
    )


class Page(HTMLParser):
    """The tags of a page: what is open where, names, links, text of cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.tags: dict[str, int] = {}
        self.images: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags[tag] = self.tags.get(tag, 0) + 1
        told = dict(attrs)
        self.ids += [told["id"]] if "id" in told else []
        self.links += [(tag, value) for name, value in attrs if name in ("src", "href", "xlink:href") and value]
        if told.get("role") == "img":
            self.images.append(told)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing(report):
    page = Page(report.page.read_text(encoding="utf-8"))
    assert not page.open
    assert len(page.ids) == len(set(page.ids))
    assert "script" not in page.tags
    for tag, link in page.links:
        if link.startswith("http"):
            assert tag == "a"
        else:
            assert link.startswith(("#", "data:image/png;base64,"))
            assert not link.startswith("#") or link[1:] in page.ids
    assert "@import" not in report.page.read_text()
    assert "url(http" not in report.page.read_text()


def test_every_figure_of_the_paper_is_there_and_told_in_words(report):
    html = report.page.read_text()
    for figure in (5, 6, 7, 8, 10, 13, 14, 17):
        assert f"the paper&#39;s Figure {figure}:" in html or f"the paper&#39;s Figure {figure}, for" in html, figure
    page = Page(html)
    assert len(page.images) == page.tags["svg"]
    assert all(len(image["aria-label"]) > 20 for image in page.images)


def test_its_numbers_are_the_records(folders, report):
    """Each result of each record stands in the table of every number, and in the lines."""
    html = report.page.read_text()
    cells = re.sub(r"<[^>]+>", " ", html[html.index('id="every-number"') :])
    cells = " ".join(cells.split())
    for folder in ("clip0", "clip1", "net0", "net1"):
        for record in read_records(folders / folder):
            for result in record.results:
                shown = number(result)
                assert f"{shown.value} {shown.interval} {result.n:,}" in cells, (record.task, result.metric)
        lines = [line for line in report.lines if "against" not in line and "kind" not in line]
        assert all(line in lines for line in lines_of(folders / folder))
    assert len(lines) == sum(len(lines_of(folders / folder)) for folder in ("clip0", "clip1", "net0", "net1"))
    json.dumps(report.lines, allow_nan=False)


def test_scores_stand_in_markdown_with_interval_and_n(folders, report):
    first, second = (list(read_records(folders / name)) for name in ("clip0", "clip1"))
    one, other = (
        next(r for r in every if (r.task, r.protocol) == ("shapes", "zero-shot")).results[0] for every in (first, second)
    )
    shown = [f"{percent(r.value)} ({between(r.interval)})" for r in (one, other)]
    best = int(other.value > one.value)
    shown[best] = shown[best].replace(percent((one, other)[best].value), f"**{percent((one, other)[best].value)}**")
    assert f"| shapes | accuracy | {shown[0]} | {shown[1]} | 120 |" in report.markdown
    mean = np.mean([r.results[0].value for r in first if r.protocol == "zero-shot"])
    assert f"| average of 4 |  | {percent(float(mean))} (" in report.markdown
    assert report.page.with_suffix(".md").read_text(encoding="utf-8") == report.markdown


def test_robustness_and_tests_are_among_the_lines(report):
    against = [line for line in report.lines if "against" in line]
    assert {(line["model"], line["against"], line["protocol"]) for line in against} == {
        ("clip-large", "clip & co", protocol) for protocol in ("zero-shot", "probe", "retrieval")
    }
    robust = {(line["model"], line["kind"], line["task"]): line for line in report.lines if "kind" in line}
    assert robust["clip & co", "zero-shot", "art"]["effective"] > 0


def test_overlap_is_corrected_for_the_sets_that_were_tested(report):
    assert "clip & co: after Bonferroni's correction for 2 sets the overlap is significant on cifar10." in report.markdown
    row = next(line for line in report.markdown.splitlines() if line.startswith("| shapes |") and "0.900" in line)
    assert "| 0.60 | 1.00 |" in row  # p and twice p, at most 1
    pets = next(line for line in report.markdown.splitlines() if line.startswith("| pets |") and "0.900" in line)
    assert "| 0 | 100 |" in pets
    assert pets.count("–") >= 5


def test_names_are_shown_as_they_are_and_run_nothing(report):
    html = report.page.read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<nowhere>" not in html
    assert "<b>.jpg" not in html
    assert "\\<script\\>" in report.markdown
    title = re.search(r"<title>(.*)</title>", html).group(1)
    assert title == "Evaluation of 4 models"


def test_what_a_score_rejects_is_told(report):
    row = next(line for line in report.markdown.splitlines() if line.startswith("| cifar10 vs shapes | clip & co"))
    low, high = share("t", "m", 33, 90).interval
    assert row.endswith(f"| energy | **80.0** (78.0 to 82.0) | 44.4 (40.0 to 50.0) | – | 36.7 ({between((low, high))}) | 180 |")


def test_many_pairs_of_sets_are_a_matrix_and_the_rest_is_folded(tmp_path):
    folder = begin(tmp_path / "many", "clip")
    names, random = ("a", "b", "c", "d"), np.random.default_rng(0)
    areas = {(one, other): random.uniform() for one in names for other in names if one != other and (one, other) != ("c", "a")}
    for (one, other), area in areas.items():
        rejected(folder, one, other, area)
    few = write_report([folder], tmp_path / "few.html").markdown
    assert "classes of" not in few  # 11 rows can be read
    rejected(folder, "a", "e", 0.5)
    rejected(folder, "b", "e", 0.25)
    report = write_report([folder], tmp_path / "many.html")
    rows = [line.split(" | ") for line in report.markdown.splitlines() if "| classes of | a | b | c | d | e |" in line]
    assert len(rows) == 1
    lines = report.markdown.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| classes of |"))
    expected = {**areas, ("a", "e"): 0.5, ("b", "e"): 0.25}
    for row, one in zip(lines[start + 2 :], names, strict=False):
        cells = [f"{100 * expected[one, other]:.1f}" if (one, other) in expected else "–" for other in "abcde"]
        assert row == f"| {one} | {' | '.join(cells)} |"
    page = report.page.read_text()
    assert page.index("classes of") < page.index("Every score on each two sets") < page.index("a vs b")


def test_a_task_that_is_only_called_like_a_known_set_is_not_said_to_be_it(tmp_path):
    folder = begin(tmp_path / "own", "clip")
    classified(folder, "coco", 0.5)
    page = write_report([folder], tmp_path / "out.html").page.read_text()
    assert "cocodataset.org" not in page
    classified(folder, "cifar10", 0.5, dataset="cifar10")
    assert "cs.toronto.edu" in write_report([folder], tmp_path / "out.html").page.read_text()


def test_what_was_left_out_is_told(report):
    assert "| clip & co | cifar10 | zero-shot | 1 | no image | torn & \\<b\\>.jpg |" in report.markdown
    assert "pets, probe: not net.onnx and other.onnx." in report.markdown


def test_a_known_set_leads_to_its_home(report):
    assert '<a href="https://www.cs.toronto.edu/~kriz/cifar.html"' in report.page.read_text()


@pytest.mark.parametrize("number_of_records", [1, 2, 5, 9])
def test_any_part_alone_makes_a_report(folders, tmp_path, number_of_records):
    """One model, with so many of its records only."""
    every = list(read_records(folders / "clip0"))
    for start in range(0, len(every), number_of_records * 3):
        folder = begin(tmp_path / str(start), "clip")
        for record in every[start : start + number_of_records]:
            write_record(folder, record)
        found = write_report([folder], tmp_path / f"{start}.html")
        assert not Page(found.page.read_text()).open
        assert len(found.lines) >= number_of_records


def test_nets_alone_have_their_probes(folders, tmp_path):
    found = write_report([folders / "net0"], tmp_path / "r.html")
    assert "## Linear probes" in found.markdown
    assert "Zero-shot" not in found.markdown.replace("Zero-shot and linear probe: averages", "")
    only = write_report([folders / "net0"], tmp_path / "r.html", baselines=[folders / "net0"])
    assert "network without words, baseline" in only.markdown


def test_a_thousand_classes_are_lists_and_the_page_stays_small(tmp_path):
    for place in range(2):
        folder = begin(tmp_path / str(place), f"m{place}")
        classified(folder, "many", 0.6, classes=[f"class {i}" for i in range(1000)], n=3000, seed=place)
        classified(folder, "hundred", 0.6, classes=[f"class {i}" for i in range(100)], n=2000, seed=place)
    found = write_report([tmp_path / "0", tmp_path / "1"], tmp_path / "r.html")
    html = found.page.read_text()
    assert "the hardest and the easiest of 1000 classes" in html
    assert len(html) < 600_000
    record = next(record for record in read_records(tmp_path / "0") if record.task == "many")
    wrong = record.arrays["confusion"] - np.diag(np.diag(record.arrays["confusion"]))
    row, column = np.unravel_index(wrong.argmax(), wrong.shape)
    cells = " ".join(re.sub(r"<[^>]+>", " ", html).split())
    assert f"class {row} class {column} {wrong.max()} " in cells


@pytest.mark.parametrize("name", ["report.md", "report", "folder.html"])
def test_out_is_to_be_a_page(folders, tmp_path, name):
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(ValueError, match=r"the report is one page; give --out a name that ends in .html"):
        write_report([folders / "clip0"], tmp_path / name)


def test_markdown_keeps_to_its_tables():
    rows = [["a|b*c", Number(value="1.0", interval="0.5 to 2", is_best=True), Link(text="[x]", address="https://e.org")]]
    section = Section(title="T", blocks=[Text("a\nb"), Table(columns=["x|y", "n", "l"], rows=rows, note="note")])
    assert to_markdown("<t>", ["s"], [section], page="r.html").splitlines()[-5:] == [
        "note",
        "",
        "| x\\|y | n | l |",
        "| :--- | ---: | :--- |",
        "| a\\|b\\*c | **1.0** (0.5 to 2) | [\\[x\\]](https://e.org) |",
    ]


def test_a_protocol_of_later_days_is_among_the_numbers(tmp_path):
    folder = begin(tmp_path / "m", "m")
    result = share("t", "new metric", 3, 8)
    write_record(folder, Record(task="t", protocol="new", results=(result,)))
    found = write_report([folder], tmp_path / "r.html")
    assert "new metric" in found.page.read_text()
    assert found.lines[0] == {"model": "m", "protocol": "new", **to_dict(result)}


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 400])
def test_it_renders_in_a_browser_and_fits_its_width(report, tmp_path, width):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync"]
    options += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}"]
    measured = "<script>document.title = document.documentElement.scrollWidth + ' of ' + innerWidth</script></body>"
    page = tmp_path / "measured.html"
    page.write_text(report.page.read_text().replace("</body>", measured))
    options += [f"--window-size={width},2400"]
    dumped = subprocess.run(
        [browser, *options, "--dump-dom", page.as_uri()], check=True, capture_output=True, text=True, timeout=120
    )
    whole, shown = map(int, re.search(r"<title>(\d+) of (\d+)</title>", dumped.stdout).groups())
    assert whole <= shown  # wide tables scroll by themselves, the page does not
    picture = tmp_path / "report.png"
    subprocess.run(
        [browser, *options, f"--screenshot={picture}", report.page.as_uri()], check=True, capture_output=True, timeout=120
    )
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    assert pixels.shape == (2400, width, 3)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100  # text and figures, not a blank page
