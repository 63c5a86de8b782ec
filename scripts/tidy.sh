#!/usr/bin/env bash
# tidy.sh FILE - clang-tidy on one source file, with the instruction-set flags its name asks for.
set -euo pipefail
case $1 in
*_avx512vbmi.c | *_avx512vnni.c | *_avx512bf16.c)
    isa=${1##*_}
    isa="-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -m${isa%.c}"
    ;;
*_amx.c) isa="-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mavx512vnni -mavx512bf16 -mamx-tile -mamx-bf16 -mamx-int8" ;;
*_avxvnni.c) isa="-mavx2 -mavxvnni -mfma" ;;
*_avx512.c) isa="-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma" ;;
*_avx2.c) isa="-mavx2 -mfma" ;;
*) isa="" ;;
esac
# shellcheck disable=SC2046,SC2086
exec clang-tidy --quiet "$1" -- -std=c11 -D_GNU_SOURCE -I. -Ibuild/release/gen -DVX_VERSION='"0"' \
    -DVX_BUILD_DIR='"build/release"' $isa $(pkg-config --cflags jansson libcrypto sndfile soxr libmicrohttpd)
