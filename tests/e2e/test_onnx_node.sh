#!/usr/bin/env bash
# test_onnx_node.sh - the network that models/bake.py exports, under npm's ONNX Runtime, where voxlock has no part in it.
# Usage: test_onnx_node.sh BUILD_FOLDER (which it does not need: neither the export nor node is built)
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
export PYTHONDONTWRITEBYTECODE=1
modules=build/node/node_modules
golden=tests/data/golden

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
. tests/support/tap.sh

skip_all() { # reason
    printf '1..1\nok 1 - onnx under node # SKIP %s\n' "$1"
    exit 0
}
command -v node >/dev/null || skip_all "node is not installed"
[ -e $modules/onnxruntime-node/package.json ] ||
    skip_all "onnxruntime-node is not installed: scripts/onnxruntime_node.sh installs it"
why=$(scripts/with_torch.sh -c '' 2>&1) || skip_all "$why"

export_network() { # model folder, file
    scripts/with_torch.sh -W ignore - "$@" <<'PYTHON'
import sys
from pathlib import Path

sys.path[:0] = ["models", "models/train"]
from bake import export_onnx, load_model

model = load_model(sys.argv[1])
export_onnx(model, model.blocks[0].conv.conv.in_channels, Path(sys.argv[2]))
PYTHON
}
computes() { node tests/support/onnx_check.mjs $modules "$work/golden.onnx" "$1"; } # folder of features and embeddings
tells_others_apart() {
    cp $golden/*.npy "$work" && cp $golden/a.embedding.npy "$work/c.embedding.npy" || return 1
    ! computes "$work" && grep -q '^clip a, .* 1.0000000$' "$work/said" && ! grep -q '^clip c, .* 1.0000000$' "$work/said"
}

check "the golden model exports" export_network $golden/model "$work/golden.onnx"
check "it computes the golden vectors, at every length, alone and in a batch" computes $golden
check "another clip's vector is told apart" tells_others_apart
echo "1..$n"
exit $((failed > 0))
