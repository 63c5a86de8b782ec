#!/usr/bin/env bash
# install_peers.sh - the engines that `make bench` compares with: PyTorch from the distribution, ONNX Runtime and sherpa-onnx
# from npm.
# Usage: tests/bench/install_peers.sh
# Large, and never needed to build, test or run voxlock. `make bench` runs without them and says so.
set -euo pipefail
cd "$(dirname "$0")/../.."

scripts/setup.sh bench
scripts/onnxruntime_node.sh

# Beside ONNX Runtime; its addon finds its library by LD_LIBRARY_PATH only.
version=1.13.8
installed=build/node/node_modules/sherpa-onnx-node/package.json
if [ "$(uname -sm)" = "Linux x86_64" ] && ! grep -qs "\"version\": \"$version\"" "$installed"; then
    # npm forgets what another install put there without saving it, unless both are named.
    npm install --prefix build/node --no-save --no-audit --no-fund --ignore-scripts --loglevel error \
        "onnxruntime-node@$(sed -n 's/^version=//p' scripts/onnxruntime_node.sh)" \
        "sherpa-onnx-node@$version" "sherpa-onnx-linux-x64@$version" >&2
fi
