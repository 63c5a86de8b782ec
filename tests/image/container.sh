# container.sh - sourced by what tests and measures the image: builds it without Docker and runs it as Docker would.
# Owns:  an image store of its own in build/image, a base image made by debootstrap, containers started by runc (which
#        Docker, containerd and Kubernetes start theirs with). Does not: touch other stores, pull from a registry, judge.
# Needs root: the base is unpacked with its owners and devices, and runc makes namespaces. Needs a folder in $work.
# Functions leave what they found in ret_root, ret_pid and ret_shell.
# shellcheck shell=bash disable=SC2034,SC2154

image_state=$PWD/build/image
export BUILDAH_ISOLATION=chroot CONTAINERS_STORAGE_CONF=$image_state/storage.conf
base_image=docker.io/library/debian:bookworm-slim
debian_mirror=http://deb.debian.org/debian
running=() mounted=()
ret_root='' ret_pid='' ret_shell=''

# Why nothing here can run, on standard output and as success; silent failure where all is well.
image_obstacle() {
    local tool probe=$work/probe
    [ "$(uname -s)" = Linux ] || { echo "containers need Linux"; return; }
    [ "$(id -u)" = 0 ] || { echo "needs root: chroot isolation and runc without a daemon"; return; }
    for tool in buildah debootstrap runc jq curl nsenter; do
        command -v $tool >/dev/null || { echo "$tool is not installed: scripts/setup.sh image"; return; }
    done
    mkdir -p "$probe"
    unshare --mount mount -t tmpfs none "$probe" 2>/dev/null || { echo "this machine permits no mounts"; return; }
    [ -e "$image_state/base" ] || curl -sf -m 20 -o /dev/null "$debian_mirror/dists/bookworm/InRelease" ||
        echo "$debian_mirror cannot be reached for the base image"
} 2>&1

# vfs copies where other drivers mount, so that it works wherever files can be written.
make_store() {
    mkdir -p "$image_state"
    printf '[storage]\ndriver = "vfs"\ngraphroot = "%s/store"\nrunroot = "%s/run"\n' "$image_state" "$image_state" \
        >"$image_state/storage.conf"
}

# The official image is a debootstrap with these dpkg settings as well. Packages come from where the host's come from,
# with its security updates; foreign repositories stay behind, since their keys do.
make_base() {
    local container root sources
    make_store
    [ ! -e "$image_state/base" ] || { echo "made before: $(cat "$image_state/base")"; return; }
    container=$(buildah from scratch) && mounted+=("$container") && root=$(buildah mount "$container") &&
        debootstrap --variant=minbase bookworm "$root" "$debian_mirror" && rm -rf "$root"/var/cache/apt/archives/*.deb &&
        printf '%s\n' force-unsafe-io 'path-exclude /usr/share/doc/*' 'path-include /usr/share/doc/*/copyright' \
            'path-exclude /usr/share/locale/*' 'path-exclude /usr/share/man/*' 'path-exclude /usr/share/info/*' \
            >"$root/etc/dpkg/dpkg.cfg.d/docker" || return
    for sources in sources.list sources.list.d/debian.sources; do
        [ ! -e "/etc/apt/$sources" ] || cp "/etc/apt/$sources" "$root/etc/apt/$sources" || return
    done
    [ ! -e "$root/etc/apt/sources.list.d/debian.sources" ] || [ -e /etc/apt/sources.list ] ||
        rm -f "$root/etc/apt/sources.list"
    buildah commit -q "$container" "$base_image" >"$work/base" && mv "$work/base" "$image_state/base"
}

build_image() { # target, tag, model
    ENGINE=buildah scripts/image.sh "$1" "${3:-starter}" "$2" -- --pull-never --no-cache
}

# ret_root: the image's files, in a working container that lasts until clean_up.
mount_image() { # tag
    local container
    container=$(buildah from --pull-never "$1") && mounted+=("$container") && ret_root=$(buildah mount "$container")
}

image_config() { # tag, jq filter on the image's OCI configuration
    buildah inspect --type image "$1" | jq -r ".OCIv1 | $2"
}

# ---- run ------------------------------------------------------------------------------------------------------------

# Writes the bundle of a container with the image's own settings: no capability, no new privileges, a read-only root, an
# empty /tmp, and a network of its own with nothing but a loopback.
make_bundle() { # folder, tag, root, jq filter on the runtime's configuration
    rm -rf "$1"
    mkdir -p "$1" && runc spec --bundle "$1" || return
    image_config "$2" '.config' >"$1/image.json"
    jq --slurpfile image "$1/image.json" --arg root "$3" '$image[0] as $i |
        .process.terminal = false | .process.args = $i.Entrypoint + ($i.Cmd // []) | .process.env = $i.Env |
        .process.cwd = ($i.WorkingDir // "/" | if . == "" then "/" else . end) |
        .process.user = ($i.User | split(":") | {uid: .[0] | tonumber, gid: .[1] | tonumber}) |
        .process.capabilities = {} | .process.noNewPrivileges = true | .process.rlimits = [] |
        .root = {path: $root, readonly: true} |
        .mounts += [{destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "noexec", "mode=1777"]}]
        | '"${4:-.}" "$1/config.json" >"$1/changed.json" && mv "$1/changed.json" "$1/config.json"
}

# Starts the container in the background: ret_shell is its runc, to wait for; ret_pid its first process as the host sees it.
start_container() { # id, bundle; its output goes to BUNDLE/log
    rm -f "$2/pid"
    running+=("$1")
    runc --root "$image_state/runc" run --bundle "$2" --pid-file "$2/pid" "$1" >"$2/log" 2>&1 </dev/null &
    ret_shell=$!
    for _ in $(seq 200); do
        [ ! -s "$2/pid" ] || { ret_pid=$(cat "$2/pid"); return; }
        kill -0 "$ret_shell" 2>/dev/null || break
        sleep 0.05
    done
    cat "$2/log"
    return 1
}

# What `docker stop` does: the signal to the first process, and an end by force after ten seconds, which shows as status
# 137. Fails unless the status is 0.
stop_container() { # id, runc's pid, signal
    runc --root "$image_state/runc" kill "$1" "$3" || return
    for _ in $(seq 100); do
        kill -0 "$2" 2>/dev/null || break
        sleep 0.1
    done
    runc --root "$image_state/runc" kill "$1" KILL 2>/dev/null
    wait "$2"
}

inside() { # pid, command...: the host's command in the container's network
    nsenter --target "$1" --net "${@:2}"
}

# Nothing that this file started or mounted outlives the script.
clean_up() {
    local id
    for id in "${running[@]}"; do
        runc --root "$image_state/runc" delete --force "$id" 2>/dev/null
    done
    for id in "${mounted[@]}"; do
        buildah rm "$id" >/dev/null 2>&1
    done
    # A rebuilt tag leaves its old image behind without a name.
    buildah rmi --prune >/dev/null 2>&1
    running=() mounted=()
}
