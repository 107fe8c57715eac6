#!/usr/bin/env bash
# Two machines train one model: two network namespaces, joined by a cable of software, with torchrun in each. On real machines
# the two torchrun lines are the same, with the first machine's address. Needs root and Linux; elsewhere it says why it cannot.
#
#     bash runs/multi_node.sh [FOLDER]        a minute on two cores; the curves of one and of two machines, side by side
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${1:-$(mktemp -d)/multi_node}
PYTHON=${PYTHON:-.venv/bin/python}
ONE=fullclip-a-$$ TWO=fullclip-b-$$

if ! command -v ip >/dev/null; then
    echo "skipped: the command ip (iproute2) is not here"
    exit 0
fi
if ! ip netns add "$ONE" 2>/dev/null; then
    echo "skipped: network namespaces cannot be made here (root and Linux are needed)"
    exit 0
fi
trap 'kill $(jobs -p) 2>/dev/null || true; ip netns del "$ONE" 2>/dev/null || true; ip netns del "$TWO" 2>/dev/null || true' EXIT
ip netns add "$TWO"
ip link add veth-a netns "$ONE" type veth peer name veth-b netns "$TWO"
ip -n "$ONE" addr add 10.77.0.1/24 dev veth-a
ip -n "$TWO" addr add 10.77.0.2/24 dev veth-b
for pair in "$ONE veth-a" "$TWO veth-b"; do
    read -r space device <<<"$pair"
    ip -n "$space" link set "$device" up
    ip -n "$space" link set lo up
done

SETTINGS=(demo --device cpu --set train.steps=6 --set train.batch_size=32 --set train.minutes=none --set train.log_every=1
    --set train.precision=float64 --set optim.warmup=2 --set train.parallel="${PARALLEL:-ddp}"
    --set 'model.vision={"kind":"vit","image_size":64,"patch_size":16,"width":64,"layers":2,"heads":2,"mlp_width":128}')
export OMP_NUM_THREADS=1

node() { # node RANK NAMESPACE DEVICE
    ip netns exec "$2" env GLOO_SOCKET_IFNAME="$3" "$PYTHON" -m torch.distributed.run --nnodes 2 --node-rank "$1" \
        --nproc-per-node 2 --master-addr 10.77.0.1 --master-port 29500 --local-addr "10.77.0.$(($1 + 1))" \
        -m fullclip train "${SETTINGS[@]}" --out "$OUT/two"
}

"$PYTHON" -m fullclip train "${SETTINGS[@]}" --out "$OUT/one"
node 0 "$ONE" veth-a &
FIRST=$!
node 1 "$TWO" veth-b &
SECOND=$!
wait "$FIRST"
wait "$SECOND"
"$PYTHON" - "$OUT" <<'END'
import sys
from pathlib import Path

from fullclip.core.logs import read_metrics

one, two = (read_metrics(Path(sys.argv[1]) / name / "metrics.jsonl") for name in ("one", "two"))
print("step  one process  two machines of two processes")
for a, b in zip(one, two, strict=True):
    print(f"{a['step']:4d}  {a['loss']:.10f}  {b['loss']:.10f}")
worst = max(abs(a["loss"] - b["loss"]) / a["loss"] for a, b in zip(one, two, strict=True))
print(f"largest relative difference: {worst:.1e}")
sys.exit(0 if worst < 1e-9 else 1)
END
