#!/bin/sh
# The main job on built-in data, each command shown as a user would type it: learn from many small tasks, then adapt
# to a folder of pictures, predict, measure, export. Run by `make demo`.
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
run metacli export mine --format onnx -o mine.onnx
printf '\nThe adapted model is in %s/mine, its export in %s/mine.onnx\n' "$PWD" "$PWD"
