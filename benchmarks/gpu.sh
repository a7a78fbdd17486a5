#!/bin/sh
# What only a GPU can show, in at most 8 minutes: the tests marked `cuda`, every learner against the CPU, and
# results/speed-gpu.json. BIN is the folder of the environment's programs; OUT takes a copy of the results.
set -eu
cd "$(dirname "$0")/.."
BIN=${BIN:-.venv/bin}
"$BIN/python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' || {
    echo "no GPU that PyTorch can use: metacli doctor" >&2
    exit 4
}
timeout 150 "$BIN/python" -m pytest -q -n 0 -m cuda tests/engine/test_cuda.py tests/engine/test_cuda_ranks.py || failed=1
timeout 320 "$BIN/python" benchmarks/gpu.py --minutes 4.5
[ -z "${OUT:-}" ] || cp benchmarks/results/speed-gpu.json "$OUT/"
exit "${failed:-0}"
