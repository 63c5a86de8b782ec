#!/usr/bin/env bash
# onnxruntime_node.sh - npm's ONNX Runtime, in build/node: what tests and benchmarks hold exported networks against.
# Usage: scripts/onnxruntime_node.sh
# Does nothing when it is there. About 100 MB from the npm registry, never needed to build or run voxlock.
set -euo pipefail
cd "$(dirname "$0")/.."

version=1.30.0
installed=build/node/node_modules/onnxruntime-node/package.json
[ -e "$installed" ] && grep -q "\"version\": \"$version\"" "$installed" && exit 0
echo "voxlock: installing: onnxruntime-node $version into build/node" >&2
mkdir -p build/node
# Its install script would only fetch CUDA libraries.
npm install --prefix build/node --no-save --no-audit --no-fund --ignore-scripts --loglevel error \
    "onnxruntime-node@$version" >&2
