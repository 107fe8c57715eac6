"""fullclip compare: the paper's comparisons of ways of learning, at a scale that a processor carries."""

import typer

from fullclip.cli.compare import figure2, masked, ngrams, scale

app = typer.Typer(
    help="Compare ways of learning from the same pairs, as the paper does.", no_args_is_help=True, rich_markup_mode=None
)
app.command("figure2")(figure2.figure2)
app.command("scale")(scale.scale)
app.command("ngrams")(ngrams.ngrams)
app.command("masked")(masked.masked)
