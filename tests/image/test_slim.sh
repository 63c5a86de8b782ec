#!/usr/bin/env bash
# test_slim.sh - the image without libtorch, which builds quickly enough for every run of the tests.
# Usage: test_slim.sh BUILD_FOLDER
exec "$(dirname "$0")/image_test.sh" slim "$@"
