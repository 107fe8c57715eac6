"""fullclip data: from web pages to shards of (image, text) pairs, a command a stage."""

import typer

from fullclip.cli.data import balance, build, collect, decontaminate, deduplicate, download, match, queries, shards

app = typer.Typer(help="Build, inspect and verify shards of (image, text) pairs.", no_args_is_help=True, rich_markup_mode=None)
app.command("build")(build.build)
app.command("queries")(queries.queries)
app.command("collect")(collect.collect)
app.command("match")(match.match)
app.command("balance")(balance.balance)
app.command("download")(download.download)
app.command("deduplicate")(deduplicate.deduplicate)
app.command("shard")(shards.shard)
app.command("inspect")(shards.inspect)
app.command("verify")(shards.verify)
app.command("decontaminate")(decontaminate.decontaminate)
