"""fullclip data queries: Wikipedia, its page views and WordNet in, the list of queries out."""

from typing import TYPE_CHECKING, Annotated

import typer

from fullclip.cli.data.stages import EngineName, RayAddress, Workers, engine_of
from fullclip.cli.output import Json, note, show_json, show_table

if TYPE_CHECKING:
    from fullclip.data.building.queries.build import Built


def queries(
    out: Annotated[str, typer.Option(help="The list to write, a .jsonl file; local or s3://.")],
    wikipedia: Annotated[
        list[str] | None, typer.Option(help="A pages-articles dump (.xml .bz2 .gz .xz), glob or folder; may be repeated.")
    ] = None,
    views: Annotated[
        list[str] | None, typer.Option(help="Wikimedia's page-view files, a glob or folder; may be repeated.")
    ] = None,
    wordnet: Annotated[
        list[str] | None, typer.Option(help="WordNet's folder, one of its data files, or WN-LMF XML; may be repeated.")
    ] = None,
    min_count: Annotated[int, typer.Option(min=1, help="Words that Wikipedia has so often.")] = 100,
    min_pmi: Annotated[float, typer.Option(help="Pairs of words with so many bits of mutual information.")] = 30.0,
    min_count_bigram: Annotated[int, typer.Option(min=1, help="Of these, such as are there so often.")] = 1,
    min_views: Annotated[int, typer.Option(min=1, help="Titles with so many views in all files.")] = 70,
    size: Annotated[int, typer.Option(min=1, help="How many queries the list has at most.")] = 500_000,
    language: Annotated[str, typer.Option(help="Whose Wikipedia the page views are of.")] = "en",
    workers: Workers = None,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
    json: Json = False,
) -> None:
    """Write the list of queries. The same command again goes on where it was stopped."""
    import sys
    from contextlib import closing, redirect_stdout

    from fullclip.data.building.queries.build import Sources, Thresholds, build_queries

    sources = Sources(
        wikipedia=tuple(wikipedia or ()), views=tuple(views or ()), wordnet=tuple(wordnet or ()), language=language
    )
    thresholds = Thresholds(
        min_count=min_count, min_pmi=min_pmi, min_count_bigram=min_count_bigram, min_views=min_views, size=size
    )
    with redirect_stdout(sys.stderr), closing(engine_of(engine, workers=workers, ray_address=ray_address)) as chosen:
        built = build_queries(sources, out, thresholds=thresholds, engine=chosen)
    if json:
        show_json({**built.header, "out": built.out, "resumed": built.resumed, "seconds": round(built.seconds, 3)})
    else:
        _tell(built, min_pmi=min_pmi, min_count_bigram=min_count_bigram)


def _tell(built: "Built", *, min_pmi: float, min_count_bigram: int) -> None:
    header = built.header
    typer.echo(f"{built.out}: {header['queries']:,} queries")
    rows = [(name, *(f"{one[what]:,}" for what in ("passed", "before", "taken"))) for name, one in header["sources"].items()]
    show_table(["source", "passed", "before", "taken"], rows)
    if header["words"] and header["highest_possible_pmi"] < min_pmi:
        note(
            f"pairs that are there at least {min_count_bigram:,} times among {header['words']:,} words have "
            f"{header['highest_possible_pmi']:.1f} bits at most, and --min-pmi is {min_pmi:g}: there is none; give a lower one"
        )
    for reason, one in header["dropped"].items():
        note(f"left out: {one['count']:,} {reason} ({one['examples'][0]})")
    if built.resumed:
        note(f"{built.resumed:,} pieces of the work were finished before")
    note(f"{built.seconds:,.1f} s")
