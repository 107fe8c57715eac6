"""Crawled pages for tests: WARC and WAT files as warcio writes them, and what a stage made of them."""

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

ENGLISH = (
    "The garden behind the old house is full of flowers in the summer, and the children like to play there with their dog "
    "until it gets dark. In the evening their mother calls them in for dinner, and afterwards they read a book together. "
    "On Sundays their grandparents come to visit and bring a cake that was baked in the morning. "
)
GERMAN = (
    "Der Garten hinter dem alten Haus ist im Sommer voller Blumen, und die Kinder spielen dort gern mit ihrem Hund, bis es "
    "dunkel wird. Am Abend ruft die Mutter sie zum Essen herein, und danach lesen sie zusammen ein Buch vor dem Kamin. "
    "Am Sonntag kommen die Großeltern zu Besuch und bringen einen Kuchen mit, der am Morgen gebacken wurde. "
)


class Writer(WARCWriter):
    """Without the temporary files that warcio leaves open."""

    @staticmethod
    def _create_temp_file():
        return io.BytesIO()


def page(*images, head="", text=ENGLISH, lang="en"):
    """A page with some tags in its body."""
    beginning = f'<!doctype html><html lang="{lang}"><head><title>A page</title>{head}</head>'
    return f"{beginning}<body><p>{text}</p>{''.join(images)}</body>"


def image(number=0, text="a dog in the snow", **attributes):
    more = "".join(f' {name.rstrip("_").replace("_", "-")}="{value}"' for name, value in attributes.items())
    return f'<img src="/pictures/{number}.jpg" alt="{text}"{more}>'


def warc(pages, *, gzip=True, status="200 OK", headers=(), offsets=None):
    """The bytes of an archive of (address, page); a page as text or bytes. offsets: a list that gets where records begin."""
    out = io.BytesIO()
    writer = Writer(out, gzip=gzip)
    for address, body in pages:
        if offsets is not None:
            offsets.append(out.tell())
        body = body.encode() if isinstance(body, str) else body
        names = {name.lower() for name, _ in headers}
        given = [*headers, *([] if "content-type" in names else [("Content-Type", "text/html")])]
        response = StatusAndHeaders(status, given, protocol="HTTP/1.1")
        writer.write_record(writer.create_warc_record(address, "response", payload=io.BytesIO(body), http_headers=response))
    return out.getvalue()


def wat(records, *, gzip=True):
    """The bytes of a WAT file of (address, HTML-Metadata, headers)."""
    out = io.BytesIO()
    writer = Writer(out, gzip=gzip)
    for address, content, headers in records:
        told = {
            "Envelope": {
                "WARC-Header-Metadata": {"WARC-Type": "response", "WARC-Target-URI": address},
                "Payload-Metadata": {"HTTP-Response-Metadata": {"Headers": headers, "HTML-Metadata": content}},
            }
        }
        payload = io.BytesIO(json.dumps(told).encode())
        kind = {"warc_content_type": "application/json"}
        writer.write_record(writer.create_warc_record(address, "metadata", payload=payload, **kind))
    return out.getvalue()


def rows_in(out):
    """All rows of a stage's folder."""
    parts = sorted((Path(out) / "parts").glob("*.parquet"))
    return [row for part in parts for row in parquet.read_table(part).to_pylist()]


def files_of(out):
    """The bytes of all that must be the same each time."""
    paths = sorted(path for path in Path(out).rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(out)): path.read_bytes() for path in paths}


def write_parquet(path, rows):
    parquet.write_table(pa.Table.from_pylist(rows), path)
    return path
