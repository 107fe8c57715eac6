#!/usr/bin/env bash
# A data set from a little real web, and the demo's model trained on it: some minutes on two cores.
#     apt-get install gimp-help-en debian-handbook openclipart-png openclipart-svg wordnet-base; pip install 'fullclip[data]' warcio
#     bash runs/web/build.sh WORK
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mkdir -p "${1:?the folder to work in}" && cd "$1" && pwd)
[ -d "$work/warcs" ] || python "$here/warc.py" --out "$work/warcs"
cp "$here/recipe.toml" "$work/recipe.toml"
python "$here/little_web.py" & web=$!
trap 'kill $web' EXIT
sleep 3
fullclip data build "$work/recipe.toml" --out "$work/built"
fullclip data verify "$work/built/shard"
fullclip data inspect "$work/built/shard" --grid "$work/pairs.png"
fullclip train demo --out "$work/run" --set "data.shards=[\"$work/built/shard\"]"
