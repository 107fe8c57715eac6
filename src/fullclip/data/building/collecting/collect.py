"""The stage: (image address, text) pairs from web pages and tables (CLIP, Radford et al. 2021, section 2.2).

Each part has the columns key, url, text, kind, page, width, height, language, licence; of tables their other columns, too.
"""

from collections.abc import Sequence
from functools import partial

from fullclip.core.config import to_dict
from fullclip.data.building.collecting.languages import check_language
from fullclip.data.building.collecting.reading import Read, is_folder_of_pages, read_images, read_pages, read_warc, read_wat
from fullclip.data.building.collecting.settings import KINDS, Collecting
from fullclip.data.building.collecting.tabled import read_rows_of
from fullclip.data.building.collecting.works import ARCHIVES, METADATA, PAGES, works_of
from fullclip.data.building.engine import Engine
from fullclip.data.building.rows import Work
from fullclip.data.building.stage import Done, Report, run_stage
from fullclip.data.drops import Drops
from fullclip.data.tables import TABLE_ENDINGS


def collect(inputs: Sequence[str], out: str, *, engine: Engine, settings: Collecting | None = None) -> Report:
    """The pairs of `inputs` into the stage's folder `out`.

    Inputs: WARC and WAT files, gzipped or not; tables (.csv .tsv .jsonl .parquet) and folders of earlier stages; pages (.html)
    and folders of them; folders of images with texts beside them. ValueError for others.
    """
    settings = settings or Collecting()
    _check(settings)
    return run_stage(
        out,
        stage="collect",
        settings=to_dict(settings),
        works=works_of(inputs),
        do=partial(collect_from, settings=settings),
        engine=engine,
    )


def collect_from(work: Work, *, settings: Collecting) -> Done:
    """The pairs of one partition. Every row out and every reason counted is one thing that came in."""
    read = Read(work=work, settings=settings, drops=Drops())
    path = work.path.lower()
    if path.endswith(TABLE_ENDINGS):
        table = read_rows_of(read)
    elif path.endswith(METADATA):
        table = read_wat(read).rows.table()
    elif path.endswith(ARCHIVES):
        table = read_warc(read).rows.table()
    elif path.endswith(PAGES) or is_folder_of_pages(work.path):
        table = read_pages(read).rows.table()
    else:
        table = read_images(read).rows.table()
    num_in = table.num_rows + sum(read.drops.counts.values())
    return Done(table=table, num_in=num_in, drops=read.drops, counts=read.counts)


def _check(settings: Collecting) -> None:
    check_language(settings.language)
    unknown = [kind for kind in settings.kinds if kind not in KINDS]
    if unknown or not settings.kinds:
        raise ValueError(f"--kind {' '.join(unknown)}: not one of {', '.join(KINDS)}")
    if settings.base and not settings.base.startswith(("http://", "https://")):
        raise ValueError(f"--base {settings.base}: give the address that the folder has on the web (https://...)")
    texts = settings.texts
    for least, greatest in ((texts.min_characters, texts.max_characters), (texts.min_words, texts.max_words)):
        if least > greatest:
            raise ValueError(f"at least {least} and at most {greatest} keeps nothing; give a smaller least length")
