#!/usr/bin/env bash
# install_peers.sh - the engines that `make bench` compares with: PyTorch from the distribution, ONNX Runtime from npm.
# Usage: tests/bench/install_peers.sh
# Large, and never needed to build, test or run voxlock. `make bench` runs without them and says so.
set -euo pipefail
cd "$(dirname "$0")/../.."

scripts/setup.sh bench
scripts/onnxruntime_node.sh
