#!/usr/bin/env bash
# image.sh - builds the container image with whatever engine is there: docker, podman or buildah.
# Usage: image.sh [TARGET [MODEL [TAG]]] [-- arguments of the engine's build command...]
#   TARGET  slim or full (default: full)
#   MODEL   folder in models/, or another one of the checkout (default: starter)
#   TAG     default: voxlock-cloud:TARGET
# ENGINE chooses among several engines. The image's labels and the time of its files come from the commit.
set -euo pipefail
cd "$(dirname "$0")/.."

words=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    words+=("$1")
    shift
done
[ $# -eq 0 ] || shift
target=${words[0]:-full} model=${words[1]:-starter}
tag=${words[2]:-voxlock-cloud:$target}
case $target in
slim | full) ;;
*) echo "image.sh: unknown target '$target': use slim or full" >&2; exit 2 ;;
esac

# A docker command without a daemon behind it is no engine.
find_engine() {
    if docker info >/dev/null 2>&1; then
        echo docker
    elif command -v podman >/dev/null; then
        echo podman
    elif command -v buildah >/dev/null; then
        echo buildah
    else
        echo "image.sh: no docker (running), podman or buildah: install one, on Debian: apt-get install buildah" >&2
        return 1
    fi
}
engine=${ENGINE:-$(find_engine)}
build=(build)
[ "$engine" != buildah ] || build=(bud)

revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain 2>/dev/null)" ] || revision=$revision-modified
time=$(git log -1 --format=%ct 2>/dev/null || echo 0)

set -x
exec "$engine" "${build[@]}" --target "$target" --tag "$tag" --build-arg "MODEL=$model" \
    --build-arg "VERSION=$(cat VERSION)" --build-arg "REVISION=$revision" --build-arg "SOURCE_DATE_EPOCH=$time" "$@" .
