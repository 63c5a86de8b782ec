#!/usr/bin/env bash
# test_engines.sh - scripts/image.sh takes the engine that works and gives it the right command. Engines are recorded ones.
# Usage: test_engines.sh BUILD_FOLDER (which it does not need)
# shellcheck disable=SC2154
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
. tests/support/tap.sh

mkdir "$work/bin"
for tool in bash env dirname cat git; do
    ln -s "$(command -v $tool)" "$work/bin/"
done

engines() { # names: each says what it was called with; docker has a daemon if DAEMON is yes
    local name
    rm -f "$work"/bin/{docker,podman,buildah}
    for name; do
        cat >"$work/bin/$name" <<'END'
#!/usr/bin/env bash
[ "$1" != info ] || { [ "${DAEMON:-no}" = yes ]; exit; }
printf '%s ' "${0##*/}" "$@"
END
        chmod +x "$work/bin/$name"
    done
}

image() { # arguments of image.sh: what the engine was called with
    PATH=$work/bin scripts/image.sh "$@" 2>/dev/null
}

builds() { # beginning of the engine's command, arguments of image.sh
    local said
    said=$(image "${@:2}") && echo "$said" && [[ $said == "$1 "*" . " ]]
}

passes_on() { # arguments of the engine
    local said
    said=$(image slim -- "$@") && echo "$said" && [[ $said == *" $* . " ]]
}

labels() {
    local said revision time
    revision=$(git rev-parse HEAD) time=$(git log -1 --format=%ct)
    said=$(image slim) && echo "$said" && [[ $said == *" --build-arg VERSION=$(cat VERSION) --build-arg REVISION=$revision"* ]] &&
        [[ $said == *" --build-arg SOURCE_DATE_EPOCH=$time "* ]]
}

fails() { # exit status, text of the error, arguments of image.sh
    local status=0
    PATH=$work/bin scripts/image.sh "${@:3}" >"$work/error" 2>&1 || status=$?
    cat "$work/error"
    [ $status -eq "$1" ] && grep -qF "$2" "$work/error"
}

engines docker podman buildah
export DAEMON=yes
check "docker where its daemon answers" builds "docker build --target full --tag voxlock-cloud:full --build-arg MODEL=starter"
check "target, model and tag" builds "docker build --target slim --tag there:1 --build-arg MODEL=mine" slim mine there:1
check "further arguments go to the engine, before the context" passes_on --no-cache --pull-never
check "version, commit and its time" labels
export DAEMON=no
check "podman where docker has no daemon" builds "podman build --target slim" slim
engines buildah
check "buildah where there is nothing else" builds "buildah bud --target slim" slim
engines docker buildah
ENGINE=docker check "ENGINE overrules" builds "docker build --target slim" slim
engines
check "no engine: says what to install" fails 1 "install one" slim
check "an unknown target is a usage error" fails 2 "use slim or full" huge
echo "1..$n"
