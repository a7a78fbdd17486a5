#!/bin/sh
# The main job on built-in data, each command shown as a user would type it: learn from many small tasks, then adapt
# to a folder of images, predict, measure; learn from many sets of tasks, then learn a new set at once; export. Run by
# `make demo`.
set -eu
PATH="$(cd "${BIN:-.venv/bin}" && pwd):$PATH"
export PATH
rm -rf "${DEMO:-demo}"
mkdir -p "${DEMO:-demo}"
cd "${DEMO:-demo}"

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

run metacli meta-train glyphs-5w1s-protonet
run metacli sample glyphs my_classes --way 5 --shot 5 --query 5
run metacli inspect my_classes
run metacli adapt @last my_classes -o mine
run metacli predict mine my_classes/query
run metacli evaluate @last

# Several tasks at once: a learner that was trained on sets of related tasks learns a new set together.
run metacli meta-train functions-4t-mtnp train.steps=450 evaluate.episodes=128 "baselines=[]" -o runs/functions
run metacli sample functions my_set --shot 12 --query 50
run metacli adapt runs/functions my_set/set.csv -o my_tasks
run metacli evaluate my_tasks my_set/later.csv
run metacli report my_tasks -o my_tasks.html
run metacli export mine --format onnx -o mine.onnx
printf '\nThe adapted model is in %s/mine, its export in %s/mine.onnx; how four tasks help each other is in %s/my_tasks.html\n' \
    "$PWD" "$PWD" "$PWD"
