#!/usr/bin/env bash
# image_root.sh - lays out what the final stage of the container image holds: run by the Dockerfile, in its build stage.
# Usage: image_root.sh BUILD_FOLDER OUT [PLUGIN.so ...]
#   OUT/system   shared libraries that the program and the plugins need, accounts, /tmp, and for each Debian package that
#                a library came from its entry for vulnerability scanners and its licences
#   OUT/program  voxlock-cloud and the plugins, without debug information
# Needs a Debian system with the libraries installed. Every file gets the time SOURCE_DATE_EPOCH (0 if unset): unchanged
# layers keep their digests from one build to the next.
set -euo pipefail

build=$1 out=$2
shift 2
system=$out/system program=$out/program
libraries=$system/usr/lib/$(gcc -print-multiarch)
rm -rf "$out"
mkdir -p "$libraries" "$program/usr/local/bin" "$program/usr/local/lib/voxlock" "$program/usr/share/doc/voxlock"

install -s -m 755 "$build/voxlock-cloud" "$program/usr/local/bin/"
objects=("$build/voxlock-cloud")
for plugin; do
    install -s -m 644 "$build/$plugin" "$program/usr/local/lib/voxlock/"
    objects+=("$build/$plugin")
done
install -m 644 LICENSE "$program/usr/share/doc/voxlock/"

# Everything that the loader maps. ldd prints "name => path (address)", and the loader itself as "path (address)".
missing=$(ldd "${objects[@]}" | grep 'not found' || true)
[ -z "$missing" ] || { echo "image_root.sh: $missing" >&2; exit 1; }
mapfile -t needed < <(ldd "${objects[@]}" | sed -nE 's/^\t(.* => )?(\/[^ ]+) \(0x.*/\2/p' | sort -u)
packages=()
for path in "${needed[@]}"; do
    case $path in
    */ld-linux*) to=$system$path ;;
    *) to=$libraries/$(basename "$path") ;;
    esac
    # The file under the name that programs ask for: the symbolic links of development and of alternatives stay behind.
    install -D -m 755 "$path" "$to"
    # On a system with merged /usr dpkg may know the file by either name.
    real=$(realpath "$path")
    owner=$(dpkg-query -S "$real" 2>/dev/null || dpkg-query -S "${real#/usr}")
    packages+=("${owner%%:*}")
done

# A scanner reads the packages from status.d, as in Google's distroless images; the licences ask to travel along.
mkdir -p "$system/var/lib/dpkg/status.d"
printf '%s\n' "${packages[@]}" | sort -u | while read -r package; do
    dpkg-query -s "$package" >"$system/var/lib/dpkg/status.d/$package"
    install -D -m 644 "/usr/share/doc/$package/copyright" "$system/usr/share/doc/$package/copyright"
done
grep -rhoE '/usr/share/common-licenses/[A-Za-z]+(-[0-9]+([.][0-9]+)?)?' "$system/usr/share/doc" | sort -u |
    while read -r licence; do
        [ ! -e "$licence" ] || install -D -m 644 "$licence" "$system$licence"
    done

mkdir -p "$system/etc"
install -m 644 /usr/lib/os-release "$system/etc/os-release"
printf 'root:x:0:0:root:/:/nologin\nvoxlock:x:10001:10001:voxlock:/:/nologin\n' >"$system/etc/passwd"
printf 'root:x:0:\nvoxlock:x:10001:\n' >"$system/etc/group"
mkdir -m 1777 "$system/tmp"

find "$out" -exec touch -h -d "@${SOURCE_DATE_EPOCH:-0}" {} +
