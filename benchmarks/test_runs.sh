#!/bin/sh
# Full test runs in random order, every second one with two busy loops beside it: what passes only alone, only in
# the order of the files or only on a quiet machine fails here. One line a run; the whole output is in build/test-runs.
# BESIDE is a command that keeps one core busy, in place of the empty loop.
# FIRST is the number of the first run, which is the seed of its order too.
#   sh benchmarks/test_runs.sh [RUNS] [PYTEST ARGUMENTS...]
set -u
runs=${1:-10}
[ $# -gt 0 ] && shift
python=${PYTHON:-.venv/bin/python}
logs=build/test-runs
mkdir -p "$logs"
busy=
stop() { [ -z "$busy" ] || kill $busy 2>/dev/null; busy=; }
trap 'stop; exit 130' INT TERM
failed=0
first=${FIRST:-1}
run=$first
while [ "$run" -lt $((first + runs)) ]; do
    beside=quiet
    if [ $((run % 2)) -eq 0 ]; then
        beside=busy
        for _ in 1 2; do
            if [ -n "${BESIDE:-}" ]; then $BESIDE & else (while :; do :; done) & fi
            busy="$busy $!"
        done
    fi
    begun=$(date +%s)
    "$python" -m pytest --shuffle "$run" "$@" >"$logs/$run.txt" 2>&1
    code=$?
    stop
    [ "$code" -eq 0 ] || failed=$((failed + 1))
    echo "run $run, order $run, $beside, $(($(date +%s) - begun)) s, exit $code: $(tail -n 1 "$logs/$run.txt")"
    run=$((run + 1))
done
echo "$((runs - failed)) of $runs runs passed"
[ "$failed" -eq 0 ]
