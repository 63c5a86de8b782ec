#!/usr/bin/env bash
# test_layers.sh - includes go one way: base <- audio <- engine, base <- resilience, shared <- cloud, shared <- edge;
# inside edge the parts know shared and edge/types.h, not each other. And what else holds for every source file.
set -u
cd "$(dirname "$0")/../.." || exit 1
n=0
result() { # 0 or 1, title, detail
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $n - $2"
    else
        echo "not ok $n - $2"
        sed 's/^/# /' <<<"$3"
    fi
}
none() { # title, offending lines
    if [ -z "$2" ]; then result 0 "$1" ""; else result 1 "$1" "$2"; fi
}

# Lines "folder-of-file included-path file" of every project include.
includes=$(git ls-files -co --exclude-standard '*.c' '*.h' '*.cpp' |
    xargs grep -HnoE '^#include "[^"]+"' | sed -E 's/^([^:]+):[0-9]+:#include "([^"]+)"/\1 \2/')
may() { # folder, extended regex of what it may include
    none "$1 includes only $2" "$(awk -v f="^$1/" -v ok="$2" '$1 ~ f && $2 !~ ok' <<<"$includes")"
}
echo 1..13
may shared/base '^shared/base/'
may shared/audio '^shared/(base|audio)/'
may shared/engine '^shared/(base|audio|engine)/'
may shared/resilience '^shared/(base|resilience)/'
may shared/measure '^shared/(base|measure)/'
may cloud '^(shared|cloud)/|^openapi_json[.]inc$'
may edge '^(shared|edge)/'
for part in capture pava report evidence decide route store unlock challenge agent; do
    awk -v f="^edge/$part/" -v own="^edge/$part/" '$1 ~ f && $2 ~ /^edge\// && $2 !~ own && $2 != "edge/types.h"' <<<"$includes"
done >"${TMPDIR:-/tmp}/voxlock-layers.$$"
none "parts of edge know shared and not each other" "$(cat "${TMPDIR:-/tmp}/voxlock-layers.$$")"
rm -f "${TMPDIR:-/tmp}/voxlock-layers.$$"
sources=$(git ls-files -co --exclude-standard 'shared/*.[ch]' 'shared/*.cpp' 'cloud/*.[ch]' 'edge/*.[ch]')
none "getenv only in the options table" "$(xargs grep -nE '\b(getenv|secure_getenv)\(' <<<"$sources" | grep -v '^shared/base/options')"
none "library code neither exits nor prints" "$(grep -E '^shared/' <<<"$sources" | xargs grep -nE '\b(exit|_exit|abort|printf|puts|perror)\(' | grep -vE 'vx_[a-z_]*printf\(|^shared/base/options')"
none "no unbounded string functions" "$(xargs grep -nE '\b(strcpy|strcat|sprintf|gets|tmpnam|system|popen|alloca)\(' <<<"$sources")"
none "C++ in one file" "$(git ls-files -co --exclude-standard '*.cpp' '*.cc' '*.cxx' '*.hpp' | grep -vx shared/engine/plugin_torch.cpp)"
none "no file over 800 lines" "$(git ls-files -co --exclude-standard '*.c' '*.h' '*.cpp' '*.py' '*.sh' Makefile | xargs wc -l | awk '$2 != "total" && $1 > 800')"
