#!/usr/bin/env bash
# lint.sh - what `make lint` runs: layout, static analysis, shell and Python syntax. Layers and bounds on files are
# tests (tests/unit/test_layers.sh).
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
status=0
step() { # name, command...
    local name=$1
    shift
    printf '%-14s' "$name"
    local out
    if out=$("$@" 2>&1); then
        echo ok
    else
        echo FAILED
        printf '%s\n' "$out" | grep -vE '^[0-9]+ warnings? generated' | tail -n 80
        status=1
    fi
}

mapfile -t c_files < <(git ls-files -co --exclude-standard '*.c' '*.h' '*.cpp')
mapfile -t shell_files < <(git ls-files -co --exclude-standard '*.sh' .ci/run)
mapfile -t python_files < <(git ls-files -co --exclude-standard '*.py')
case $(uname -m) in
x86_64) other='_neon(dot)?\.c$' ;;
*) other='_(avx2|avxvnni|avx512|avx512(vbmi|vnni|bf16)|amx)\.c$' ;;
esac
mapfile -t units < <(git ls-files -co --exclude-standard 'shared/*.c' 'cloud/*.c' 'edge/*.c' | grep -vE "$other|plugin_")

tidy() { # every file with the flags that the Makefile gives it
    make -s --no-print-directory build/release/gen/openapi_json.inc
    printf '%s\n' "${units[@]}" | xargs -P "$(getconf _NPROCESSORS_ONLN)" -n 1 scripts/tidy.sh
}

step clang-format clang-format --dry-run -Werror "${c_files[@]}"
step clang-tidy tidy
step cppcheck cppcheck --quiet --std=c11 --enable=warning,portability,performance --inline-suppr --error-exitcode=1 \
    --suppress=missingIncludeSystem --suppress=unknownMacro --suppress=normalCheckLevelMaxBranches \
    -j "$(getconf _NPROCESSORS_ONLN)" -I. -D__x86_64__ -DVX_VERSION='"0"' -DVX_BUILD_DIR='"build"' "${units[@]}"
step shellcheck shellcheck --severity=warning "${shell_files[@]}"
step python python3 -m py_compile "${python_files[@]}"
exit $status
