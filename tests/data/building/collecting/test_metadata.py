import json

import pytest

from crawled import image, page, wat
from fullclip.data.building.collecting.archives import read_archive
from fullclip.data.building.collecting.metadata import read_metadata
from fullclip.data.building.collecting.pages import read_page
from fullclip.data.building.collecting.settings import Limits
from fullclip.data.drops import Drops

HERE = "http://a.org/dir/page.html"


def read(path, *records):
    path.write_bytes(wat(records))
    blocks = [record.block for record in read_archive(str(path), Drops(), Limits(), kinds=frozenset({"metadata"}))]
    return [read_metadata(block, max_images=3) for block in blocks]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.warc.wat.gz"


def test_a_record_tells_of_the_page_what_the_page_told(path):
    content = {
        "Head": {
            "Title": "A page",
            "Base": "/base/",
            "Metas": [{"property": "og:image", "content": "o.jpg"}],
            "Link": [{"path": "LINK@/href", "url": "https://a.org/terms", "rel": "license"}],
        },
        "Links": [
            {"path": "IMG@/src", "url": "/pictures/0.jpg", "alt": "a dog &amp; a cat", "width": "300"},
            {"path": "A@/href", "url": "b.html", "text": "a link"},
            {"path": "IMG@/src", "url": "c.jpg"},
        ],
    }
    head = "<base href=/base/><meta property=og:image content=o.jpg><link rel=license href=https://a.org/terms>"
    whole = read_page(
        page(image(0, "a dog &amp; a cat", width=300), "<img src=c.jpg>", head=head, text="", lang="de"), HERE, max_images=9
    )
    ((address, found),) = read(path, (HERE, content, {"Content-Language": "de"}))
    assert address == HERE
    assert found == whole


def test_the_headers_count(path):
    ((_, found),) = read(path, (HERE, {"Links": []} | {"Head": {"Title": "x"}}, {"X-Robots-Tag": "noai"}))
    assert found.opted_out == "noai"


@pytest.mark.faults
def test_records_about_others_and_strange_ones(path):
    strange = [
        None,
        [],
        "x",
        {"Links": 3},
        {"Links": [3, None, {"path": 4}]},
        {"Head": [], "Links": [{"path": "IMG@/src", "url": 7}]},
    ]
    for one in strange:
        ((found),) = read(path, (HERE, one, {}))
        assert found is None or all(not picture.texts for picture in found[1].pictures)
    many = {"Links": [{"path": "IMG@/src", "url": "a.jpg"}] * 7}
    ((_, found),) = read(path, (HERE, many, {}))
    assert (len(found.pictures), found.num_beyond) == (3, 4)


@pytest.mark.faults
@pytest.mark.parametrize("block", [b"", b"{", b"\xff", b"[" * 1_000_000, b'{"Envelope": ' * 200_000])
def test_what_is_no_json_is_a_clear_error(block):
    with pytest.raises(ValueError):
        read_metadata(block, max_images=3)


@pytest.mark.parametrize("told", [[], 3, "x", {}, {"Envelope": 3}])
def test_json_that_tells_of_no_record_is_a_clear_error(told):
    with pytest.raises(ValueError, match="no envelope in it"):
        read_metadata(json.dumps(told).encode(), max_images=3)


def test_json_about_something_else():
    assert read_metadata(json.dumps({"Envelope": {"Payload-Metadata": []}}).encode(), max_images=3) is None
