#!/usr/bin/env bash
# with_torch.sh - runs a Python program with an interpreter that has PyTorch and NumPy.
# Usage: scripts/with_torch.sh PROGRAM.py [ARGUMENT...]
# Tries $PYTHON, python3, /usr/bin/python3: a python3 that comes first in PATH need not be the one that the system's
# packages belong to. Exit status 69 (EX_UNAVAILABLE), with a sentence on stderr, when none of them has PyTorch.
set -euo pipefail

for python in "${PYTHON:-python3}" python3 /usr/bin/python3; do
    if "$python" -c 'import torch, numpy' 2>/dev/null; then
        exec "$python" "$@"
    fi
done
echo "with_torch.sh: no Python with PyTorch: set PYTHON, or install it (Debian: python3-torch python3-numpy)" >&2
exit 69
