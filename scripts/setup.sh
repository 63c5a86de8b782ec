#!/usr/bin/env bash
# setup.sh - installs the packages the project needs, saying which first.
# Usage: setup.sh [--check] build|test|lint|bench|image|bake|torch
#   build  compiler, libraries, and what `make demo` calls
#   test   build, image, and what the tests call
#   lint   the analysers of `make lint`
#   image  build, and what builds and starts a container without Docker (Linux only)
#   bake   build, and what scripts/bake_model.sh calls
#   torch  bake, libtorch for its plugin and PyTorch for models/bake.py (large)
#   bench  the peers of `make bench` (large; never needed to build or test)
# --check installs nothing: it names what is missing and how to get it, and fails.
set -euo pipefail

check=no
if [ "${1:-}" = --check ]; then check=yes; shift; fi
group=${1:-build}

debian_packages() {
    case $1 in
    build) echo gcc make pkg-config libc6-dev xxd curl ca-certificates libjansson-dev libssl-dev libsndfile1-dev \
        libsoxr-dev zlib1g-dev libmicrohttpd-dev libcmocka-dev libcurl4-openssl-dev libsqlite3-dev libsecret-1-dev libsystemd-dev libpulse-dev libasound2-dev libpam0g-dev libpocketsphinx-dev ;;
    bake) debian_packages build; echo python3 jq ;;
    # libtorch is content with the reference BLAS, which is many times slower.
    torch) debian_packages bake; echo g++ libtorch-dev libopenblas0-pthread python3-torch python3-numpy ;;
    image) debian_packages build; echo buildah runc debootstrap debian-archive-keyring jq util-linux ;;
    test) debian_packages image; debian_packages torch; echo libdnnl-dev libopenblas-dev python3 jq valgrind git strace nodejs npm dbus pulseaudio pulseaudio-utils gnome-keyring nghttp2-proxy pocketsphinx-en-us flite espeak-ng ;;
    lint) debian_packages test; echo clang-format clang-tidy cppcheck shellcheck ;;
    bench) debian_packages test; echo python3-fastapi python3-uvicorn wrk ;;
    *) echo "setup.sh: unknown group '$1': use build, bake, torch, image, test, lint or bench" >&2; exit 2 ;;
    esac
}
brew_packages() {
    case $1 in
    build) echo pkgconf jansson openssl@3 libsndfile libsoxr libmicrohttpd cmocka curl sqlite ;;
    bake | image) brew_packages build; echo python3 jq ;;
    torch) brew_packages bake; echo numpy pytorch ;;
    test) brew_packages torch; echo onednn python3 jq node nghttp2 ;;
    lint) brew_packages test; echo bash clang-format llvm cppcheck shellcheck ;;
    bench) brew_packages test; echo wrk ;;
    *) echo "setup.sh: unknown group '$1': use build, bake, torch, image, test, lint or bench" >&2; exit 2 ;;
    esac
}

if [ "$(uname -s)" = Darwin ]; then
    command -v brew >/dev/null || { echo "setup.sh: Homebrew is missing: install it from https://brew.sh, then run this again" >&2; exit 1; }
    installed=$(brew list --formula -1)
    missing=$(for p in $(brew_packages "$group"); do grep -qx "$p" <<<"$installed" || echo "$p"; done)
    install="brew install"
elif command -v dpkg-query >/dev/null; then
    wanted=$(debian_packages "$group")
    # A tool that is already there by other means (node from a vendor, say) does not need the Debian package.
    have() {
        case $1 in
        nodejs) command -v node >/dev/null && return ;;
        npm | git | curl | jq | gcc | make | xxd | valgrind | python3 | buildah | runc | debootstrap) command -v "$1" >/dev/null && return ;;
        esac
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
    }
    missing=$(for p in $wanted; do have "$p" || echo "$p"; done | sort -u)
    install="apt-get install -y --no-install-recommends"
    [ "$(id -u)" = 0 ] || install="sudo $install"
else
    # Another system: pkg-config is the only witness.
    missing=$(for p in jansson libcrypto sndfile soxr zlib libmicrohttpd cmocka libcurl sqlite3; do
        pkg-config --exists "$p" 2>/dev/null || echo "$p"
    done)
    install="install with your package manager:"
    check=yes
fi

# No package of the system's. Where it cannot be had the test that wants it skips.
add_node_modules() {
    case $check.$group in
    no.test | no.bench) "$(dirname "$0")/onnxruntime_node.sh" || echo "voxlock: going on without onnxruntime-node" >&2 ;;
    esac
}

[ -z "$missing" ] && { add_node_modules; exit 0; }
missing=$(tr '\n' ' ' <<<"$missing")
if [ "$check" = yes ]; then
    echo "voxlock: missing packages: $missing" >&2
    echo "voxlock: run 'make setup', or: $install $missing" >&2
    exit 1
fi
echo "voxlock: installing: $missing" >&2
if [[ $install == *apt-get* ]]; then
    # Package lists may be absent or stale on a fresh machine.
    ${install%% install*} update -qq >&2
    export DEBIAN_FRONTEND=noninteractive
    # sudo drops the environment; the variable is only there to keep apt from asking.
    # shellcheck disable=SC2086
    $install -qq $missing >&2
else
    # shellcheck disable=SC2086
    $install $missing >&2
fi
add_node_modules
