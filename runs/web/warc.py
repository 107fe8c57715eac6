"""The pages of the little web (`little_web.py`) as WARC files, as a crawler would have written them.

python runs/web/warc.py --out FOLDER [--pages 400] [and the options of little_web.py]      needs the package warcio

Pages are asked of the site, which is served meanwhile, and written by warcio, so many to a file, with the HTTP headers.
"""

import argparse
import io
from collections.abc import Iterable
from pathlib import Path
from urllib.request import urlopen

from little_web import add_arguments, site_of
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter


def write_warcs(pages: Iterable[str], folder: Path, *, a_file: int) -> int:
    """Ask for each page and write the answers; how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    number, file = 0, None
    for number, page in enumerate(pages):
        if number % a_file == 0:
            if file is not None:
                file.close()
            file = open(folder / f"{number // a_file:05d}.warc.gz", "wb")  # noqa: SIM115
            writer = WARCWriter(file, gzip=True)
        with urlopen(page) as answer:
            headers = StatusAndHeaders("200 OK", list(answer.headers.items()), protocol="HTTP/1.1")
            body = io.BytesIO(answer.read())
        writer.write_record(writer.create_warc_record(page, "response", payload=body, http_headers=headers))
    if file is not None:
        file.close()
    return number + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pages", type=int, default=400, help="to a file")
    add_arguments(parser)
    given = parser.parse_args()
    site = site_of(given)
    with site.served():
        print(f"{write_warcs(site.pages(), given.out, a_file=given.pages):,} pages in {given.out}")


if __name__ == "__main__":
    main()
