"""fullclip search: an index of pictures, built and asked with words and pictures."""

import typer

from fullclip.cli.search import build, query, rows

app = typer.Typer(help="Build an index of pictures and search it with words.", no_args_is_help=True, rich_markup_mode=None)
app.command("build")(build.build)
app.command("add")(build.add)
app.command("remove")(rows.remove)
app.command("query")(query.query)
app.command("stats")(rows.stats)
