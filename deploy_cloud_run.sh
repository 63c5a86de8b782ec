#!/usr/bin/env bash
# deploy_cloud_run.sh - builds voxlock-cloud's image, runs it on Cloud Run, and proves that it answers. Run it again to
# update: what is there already is left alone.
# Owns:   the order of the steps, the checks before the first of them, and the test request after the last.
#         Does not: hold the service's values (deploy/service.sh) or say how the image is made (Dockerfile).
# Standard output is the line for the edge's configuration, or with --dry-run the commands; all talk goes to standard
# error. Exit status 0 done, 1 a step failed, 2 the arguments cannot be used and nothing was done.
# Written for bash 3.2, which macOS still ships: no associative arrays, no mapfile.
set -euo pipefail
called_from=$PWD
cd "$(dirname "$0")"
# shellcheck source=deploy/service.sh
. deploy/service.sh

usage() {
    cat <<TEXT
Usage: ./deploy_cloud_run.sh [options]

Where
  --project ID                 Google Cloud project (default: gcloud's current one)
  --region REGION              (default: $region)
  --service-name NAME          (default: $service_name)

Image
  --target full|slim           the Dockerfile's target (default: full)
  --model FOLDER               model folder or SpeechBrain checkpoint inside the checkout (default: starter)
  --image-tag TAG              (default: the version and the commit)
  --local-build                build here and push, instead of with Cloud Build
  --builder PROGRAM            docker, podman or buildah (default: the first that is installed)
  --image IMAGE                build nothing, deploy this image

Size
  --cpu N  --memory SIZE       (default: $cpu and $memory)
  --min-instances N            instances kept when nobody calls (default: $min_instances)
  --max-instances N            bounds the bill (default: $max_instances)
  --concurrency N              requests at once for one instance (default: $concurrency)
  --timeout SECONDS            (default: $timeout_s)
  --set-env NAME=VALUE         a setting of the service; may be repeated

Access
  --edge-service-account MAIL  may call the service; may be repeated
  --allow-unauthenticated      anybody may call it (default: only who has roles/run.invoker)
  --api-keys-secret NAME       secret in Secret Manager that VOXLOCK_API_KEYS is taken from; with --allow-unauthenticated
  --api-key-file FILE          a key for the test request, where keys are needed
  --service-account NAME       what the service runs as, made if missing (default: the service's name and -run)

  --skip-test                  send no test request at the end
  --dry-run                    print the commands and run none of them; needs --project
  --help
TEXT
}

# ---- talk -----------------------------------------------------------------------------------------------------------

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "deploy: $*"
    exit 1
}
misuse() {
    say "deploy: $*"
    exit 2
}

# By sed, since what ${word//...} does with quotes differs between bash 3.2 and later ones.
in_quotes() { sed "s/'/'\\\\''/g; 1s/^/'/; \$s/\$/'/" <<<"$1"; }

quoted() { # words...: one line that a shell reads as these words
    local word line=
    for word in "$@"; do
        [[ $word =~ ^[A-Za-z0-9_@%+=:,./-]+$ ]] || word=$(in_quotes "$word")
        line="$line $word"
    done
    printf '%s\n' "${line# }"
}

# ---- steps ----------------------------------------------------------------------------------------------------------

begin() { # what a step does, as words that fit behind "could not"
    step=$1
    if [ "$dry_run" = yes ]; then printf '\n# %s\n' "$step"; else say "== $step"; fi
}

fail_step() { # status, command...
    fail "could not $step: '${*:2:4} ...' ended with status $1; what it said stands above"
}

run() { # command...
    if [ "$dry_run" = yes ]; then
        quoted "$@"
        return
    fi
    say "+ $(quoted "$@")"
    "$@" >&2 || fail_step $? "$@"
}

capture() { # variable, what stands for its value in a dry run, command...
    local variable=$1 answer=$2
    shift 2
    if [ "$dry_run" = yes ]; then
        printf '%s  # prints %s\n' "$(quoted "$@")" "$answer"
    else
        say "+ $(quoted "$@")"
        answer=$("$@") || fail_step $? "$@"
    fi
    printf -v "$variable" %s "$answer"
}

# Creates a thing unless it is there. Only "not found" means that it is not: on any other failure (no right to look, no
# network) creating would hide the cause.
ensure() { # command that finds it... --or command that makes it...
    local find=()
    while [ "$1" != --or ]; do
        find+=("$1")
        shift
    done
    shift
    if [ "$dry_run" = yes ]; then
        printf '%s ||\n    %s\n' "$(quoted "${find[@]}")" "$(quoted "$@")"
        return
    fi
    say "+ $(quoted "${find[@]}")"
    local status=0
    "${find[@]}" >/dev/null 2>"$work/said" || status=$?
    [ $status -ne 0 ] || return 0
    if ! grep -q NOT_FOUND "$work/said"; then
        cat "$work/said" >&2
        fail_step $status "${find[@]}"
    fi
    run "$@"
}

# ---- arguments ------------------------------------------------------------------------------------------------------

project='' target=full model=starter image_tag='' local_build=no builder='' image='' edge_accounts=() env_pairs=()
public=no keys_secret='' key_file='' account_name='' test_request=yes dry_run=no

# The last value of a name is the one that counts, as anywhere else.
set_env() { # NAME=VALUE
    local pair kept=()
    for pair in ${env_pairs[@]+"${env_pairs[@]}"}; do
        [ "${pair%%=*}" = "${1%%=*}" ] || kept+=("$pair")
    done
    env_pairs=(${kept[@]+"${kept[@]}"} "$1")
}

read_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;; esac
        case $1 in
        --local-build) local_build=yes ;;
        --allow-unauthenticated) public=yes ;;
        --no-allow-unauthenticated) public=no ;;
        --skip-test) test_request=no ;;
        --dry-run) dry_run=yes ;;
        --help | -h) usage && exit 0 ;;
        *)
            [ $# -ge 2 ] || misuse "'$1' is not an option, or its value is missing: see --help"
            read_value "$1" "$2"
            shift
            ;;
        esac
        shift
    done
}

read_value() { # option, value
    case $1 in
    --project) project=$2 ;;
    --region) region=$2 ;;
    --service-name) service_name=$2 ;;
    --target) target=$2 ;;
    --model) model=$2 ;;
    --image-tag) image_tag=$2 ;;
    --builder) builder=$2 ;;
    --image) image=$2 ;;
    --cpu) cpu=$2 ;;
    --memory) memory=$2 ;;
    --min-instances) min_instances=$2 ;;
    --max-instances) max_instances=$2 ;;
    --concurrency) concurrency=$2 ;;
    --timeout) timeout_s=$2 ;;
    --set-env)
        check_env "$2"
        set_env "$2"
        ;;
    --edge-service-account) edge_accounts+=("$2") ;;
    --api-keys-secret) keys_secret=$2 ;;
    --api-key-file) key_file=$2 ;;
    --service-account) account_name=$2 ;;
    *) misuse "unknown option '$1': see --help" ;;
    esac
}

# ---- checks before anything is called -------------------------------------------------------------------------------

want() { # option, value, pattern, what it must be
    [[ $2 =~ $3 ]] || misuse "$1 '$2' must be $4"
}

want_number() { # option, value, least, most
    want "$1" "$2" '^[0-9]{1,5}$' "a number"
    if [ "$2" -lt "$3" ] || [ "$2" -gt "$4" ]; then misuse "$1 '$2' must be from $3 to $4"; fi
}

check_env() { # NAME=VALUE
    want --set-env "$1" '^[A-Z][A-Z0-9_]*=' "NAME=VALUE, as in ECAPA_CACHE_SIZE=5000"
    case $1 in
    PORT=*) misuse "--set-env PORT: Cloud Run sets it itself, from the port in deploy/service.sh" ;;
    VOXLOCK_API_KEYS=*) misuse "--set-env VOXLOCK_API_KEYS would show keys to whoever can see the service: use --api-keys-secret" ;;
    *'|'*) misuse "--set-env '${1%%=*}': a value cannot hold '|', which separates them" ;;
    esac
}

# What Cloud Run accepts; it would say so itself, but only after the build.
check_size() {
    local bounds mib=${memory%[MG]i}
    want --cpu "$cpu" '^[12468]$' "1, 2, 4, 6 or 8"
    want --memory "$memory" '^[1-9][0-9]{0,4}[MG]i$' "a size such as 512Mi or 4Gi"
    case $memory in *Gi) mib=$((mib * 1024)) ;; esac
    case $cpu in
    1) bounds="128 4096" ;;
    2) bounds="128 8192" ;;
    4) bounds="2048 16384" ;;
    6) bounds="4096 24576" ;;
    *) bounds="4096 32768" ;;
    esac
    if [ "$mib" -lt "${bounds% *}" ] || [ "$mib" -gt "${bounds#* }" ]; then
        misuse "--memory '$memory': with $cpu CPUs Cloud Run takes ${bounds% *}Mi to ${bounds#* }Mi"
    fi
    want_number --max-instances "$max_instances" 1 1000
    want_number --min-instances "$min_instances" 0 "$max_instances"
    want_number --concurrency "$concurrency" 1 1000
    want_number --timeout "$timeout_s" 1 3600
}

check_access() {
    local mail
    for mail in ${edge_accounts[@]+"${edge_accounts[@]}"}; do
        want --edge-service-account "$mail" '^[a-z0-9][a-z0-9.-]*@[a-z0-9.-]+[.]gserviceaccount[.]com$' \
            "a service account's address, as in edge@my-project.iam.gserviceaccount.com"
    done
    [ -n "$account_name" ] || account_name=$service_name-run
    want --service-account "$account_name" '^[a-z][a-z0-9-]{4,28}[a-z0-9]$' "6 to 30 of a-z, 0-9 and '-', a name without '@'"
    if [ -n "$keys_secret" ]; then
        want --api-keys-secret "$keys_secret" '^[A-Za-z0-9_-]{1,255}$' "the name of a secret"
        # Both are the Authorization header.
        [ $public = yes ] || misuse "--api-keys-secret needs --allow-unauthenticated: IAM and keys read the same header"
    fi
    [ -z "$key_file" ] || [ -n "$keys_secret" ] || misuse "--api-key-file is for services with --api-keys-secret"
    case $key_file in '' | /*) ;; *) key_file=$called_from/$key_file ;; esac
    [ -z "$key_file" ] || [ -r "$key_file" ] || misuse "--api-key-file '$key_file' cannot be read"
}

# The builder sees the checkout and nothing else, so a model must lie inside it.
check_model() {
    [ "$model" != starter ] || return 0
    local folder
    folder=$(cd "$called_from" && cd "$model" 2>/dev/null && pwd -P) || misuse "--model '$model' is not a folder"
    case $folder in
    "$(pwd -P)"/*) model=${folder#"$(pwd -P)"/} ;;
    *) misuse "--model '$model' lies outside the checkout: copy it into models/, the builder sees nothing else" ;;
    esac
    want --model "$model" '^[A-Za-z0-9._/-]+$' "a path of letters, digits and . _ / -"
    [ -f "$model/.optimization_manifest.json" ] || [ -f "$model/embedding_model.ckpt" ] ||
        misuse "--model '$model' holds neither .optimization_manifest.json nor embedding_model.ckpt"
}

check_image() {
    if [ -n "$image" ]; then
        want --image "$image" '^[a-z0-9][A-Za-z0-9._/:@-]+$' "an image's name"
        return
    fi
    build=yes
    want --target "$target" '^(full|slim)$' "full or slim"
    [ -f Dockerfile ] || misuse "there is no Dockerfile in $PWD: the script needs the checkout that it came with"
    check_model
    read_commit
    want --image-tag "$image_tag" '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$' "a tag"
}

# What is built, for the image's labels, and for a tag that tells two builds apart.
read_commit() {
    local tag modified=''
    version=$(cat VERSION)
    tag=$version
    if revision=$(git rev-parse HEAD 2>/dev/null); then
        [ -z "$(git status --porcelain)" ] || modified=-modified
        commit_time=$(git log -1 --format=%ct)
        tag=$version-${revision:0:12}$modified
        revision=$revision$modified
    else
        revision=unknown
    fi
    [ -n "$image_tag" ] || image_tag=$tag
}

choose_builder() {
    local tool
    [ -z "$builder" ] || want --builder "$builder" '^(docker|podman|buildah)$' "docker, podman or buildah"
    for tool in docker podman buildah; do
        [ -n "$builder" ] || ! command -v $tool >/dev/null || builder=$tool
    done
    [ -n "$builder" ] || misuse "--local-build needs docker, podman or buildah: install one, or build with Cloud Build"
}

check_tools() {
    local tool
    [ $local_build = no ] || choose_builder
    [ $dry_run = no ] || return 0
    for tool in gcloud curl $builder; do
        command -v "$tool" >/dev/null || misuse "$tool is not on PATH: install it (gcloud: https://cloud.google.com/sdk/docs/install)"
    done
}

# ---- the steps ------------------------------------------------------------------------------------------------------

find_project() {
    begin "find out who is logged in, and the project"
    capture account ACCOUNT gcloud auth list --filter=status:ACTIVE --format='value(account)'
    [ -n "$account" ] || fail "gcloud is not logged in: run 'gcloud auth login'"
    if [ -z "$project" ]; then
        capture project PROJECT gcloud config get-value project
        [ -n "$project" ] || fail "no project: give --project, or run 'gcloud config set project ID'"
        want "gcloud's project" "$project" "$project_pattern" "a project's id"
    fi
    run gcloud projects describe "$project" --format='value(projectNumber)'
}

enable_services() {
    local wanted=(run.googleapis.com iam.googleapis.com) missing=() enabled name
    if [ $build = yes ]; then
        wanted+=(artifactregistry.googleapis.com)
        [ $local_build = yes ] || wanted+=(cloudbuild.googleapis.com)
    fi
    begin "enable the services of Google Cloud that this needs"
    capture enabled LIST gcloud services list --enabled --project="$project" --format='value(config.name)'
    for name in "${wanted[@]}"; do
        grep -qxF "$name" <<<"$enabled" || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] || run gcloud services enable "${missing[@]}" --project="$project"
}

ensure_repository() {
    begin "make the repository for the image"
    ensure gcloud artifacts repositories describe "$repository" --project="$project" --location="$region" --or \
        gcloud artifacts repositories create "$repository" --project="$project" --location="$region" \
        --repository-format=docker --description="Images of voxlock"
}

# It gets no role at all: the service calls nobody, and writing its log needs none. Without an account of its own it would
# run as the project's default one, which may edit everything. Made before the build, so that it is known by the time
# that it is used.
ensure_account() {
    account_mail=$account_name@$project.iam.gserviceaccount.com
    begin "make the account that the service runs as"
    ensure gcloud iam service-accounts describe "$account_mail" --project="$project" --or \
        gcloud iam service-accounts create "$account_name" --project="$project" --display-name="voxlock-cloud, without roles"
    if [ -n "$keys_secret" ]; then
        begin "let it read the secret with the keys"
        run gcloud secrets add-iam-policy-binding "$keys_secret" --project="$project" --member="serviceAccount:$account_mail" \
            --role=roles/secretmanager.secretAccessor --format=none
    fi
}

build_in_cloud() {
    begin "build the image with Cloud Build"
    run gcloud builds submit . --project="$project" --config=deploy/cloudbuild.yaml \
        --substitutions="_IMAGE=$image,_TARGET=$target,_MODEL=$model,_VERSION=$version,_REVISION=$revision,_TIME=$commit_time"
}

build_here() {
    begin "build the image with $builder"
    # Cloud Run runs amd64, whatever this machine is.
    run env ENGINE="$builder" scripts/image.sh "$target" "$model" "$image" -- --platform=linux/amd64
    begin "push the image"
    if [ "$builder" = docker ]; then
        run gcloud auth configure-docker "$region-docker.pkg.dev" --quiet
        run docker push "$image"
    else
        push_with_token
    fi
}

# podman and buildah know no credential helper of gcloud's. The access token is kept in a file of ours for the push, not
# among the user's settings.
push_with_token() {
    local auth=$work/auth.json
    local login=("$builder" login --authfile="$auth" --username=oauth2accesstoken --password-stdin "$region-docker.pkg.dev")
    if [ $dry_run = yes ]; then
        printf 'gcloud auth print-access-token | %s\n' "$(quoted "${login[@]}")"
    else
        say "+ gcloud auth print-access-token | $(quoted "${login[@]}")"
        gcloud auth print-access-token | "${login[@]}" >&2 || fail_step $? "${login[@]}"
    fi
    run "$builder" push --authfile="$auth" "$image"
}

# A tag can move; what was built is deployed by its digest.
pin_image() {
    local digest=''
    begin "take the image's digest"
    capture digest DIGEST gcloud artifacts docker images describe "$image" --project="$project" \
        --format='value(image_summary.digest)'
    [ -n "$digest" ] || fail "could not $step: Artifact Registry does not know $image"
    image=${image%:*}@$digest
}

# Every value is stated, so that the service is what this command says and not what was set some other day.
deploy() {
    local env_list access=--no-allow-unauthenticated secrets=(--clear-secrets)
    env_list=$(IFS='|' && printf %s "${env_pairs[*]}")
    [ $public = no ] || access=--allow-unauthenticated
    [ -z "$keys_secret" ] || secrets=(--set-secrets="VOXLOCK_API_KEYS=$keys_secret:latest")
    begin "deploy the service"
    run gcloud run deploy "$service_name" --project="$project" --region="$region" --image="$image" \
        --service-account="$account_mail" --port="$port" --cpu="$cpu" --memory="$memory" \
        --min-instances="$min_instances" --max-instances="$max_instances" --concurrency="$concurrency" \
        --timeout="$timeout_s" --cpu-boost --cpu-throttling \
        --startup-probe="$(probe "$startup_path" "$startup_period_s" "$startup_timeout_s" "$startup_failures")" \
        --liveness-probe="$(probe "$liveness_path" "$liveness_period_s" "$liveness_timeout_s" "$liveness_failures")" \
        --set-env-vars="^|^$env_list" "${secrets[@]}" $access --quiet
    # Who rolled back has pinned a revision, and a new one would never be called.
    run gcloud run services update-traffic "$service_name" --project="$project" --region="$region" --to-latest --format=none
}

probe() { # path, period, timeout, failures
    printf 'httpGet.path=%s,httpGet.port=%s,periodSeconds=%s,timeoutSeconds=%s,failureThreshold=%s' "$1" "$port" "$2" "$3" "$4"
}

admit_edge() {
    local mail
    for mail in ${edge_accounts[@]+"${edge_accounts[@]}"}; do
        begin "let $mail call the service"
        run gcloud run services add-iam-policy-binding "$service_name" --project="$project" --region="$region" \
            --member="serviceAccount:$mail" --role=roles/run.invoker --format=none
    done
}

# ---- the test request -----------------------------------------------------------------------------------------------

take_token() {
    local audience=()
    if [ $public = no ]; then
        # A person's token fits every service; a service account's names the one that it is for.
        case $account in *gserviceaccount.com) audience=(--audiences="$url") ;; esac
        capture token TOKEN gcloud auth print-identity-token ${audience[@]+"${audience[@]}"}
    elif [ -n "$key_file" ]; then
        token=TOKEN
        [ $dry_run = yes ] || IFS= read -r token <"$key_file" || [ -n "$token" ] || fail "--api-key-file '$key_file' is empty"
    fi
    # It goes into a line of curl's configuration: nothing that could end that line.
    [ $public = yes ] && [ -z "$key_file" ] || [[ $token =~ ^[A-Za-z0-9._~+/=-]+$ ]] || fail "could not $step: no usable token"
}

# curl reads the token from standard input: an argument could be seen by every user of this machine.
request() { # path, further arguments of curl...: the HTTP status, 000 without an answer
    local path=$1
    shift
    if [ -n "$token" ]; then printf 'header = "Authorization: Bearer %s"\n' "$token"; fi |
        curl -q --config - --silent --show-error --max-time 60 --output "$work/answer" --write-out '%{http_code}' \
            "$@" "$url$path" || true
}

# A right that was just given takes up to a few minutes to be known everywhere; until then the answer is 401 or 403.
expect_200() { # path, further arguments of curl...
    local status turn
    if [ $dry_run = yes ]; then
        quoted curl -q --config - "${@:2}" "$url$1"
        return
    fi
    for turn in 1 2 3 4 5 6 7 8 9 10 11 12; do
        status=$(request "$@")
        [ "$status" != 200 ] || return 0
        say "$1 answered $status, try $turn of 12"
        [ "$turn" -eq 12 ] || sleep 10
    done
    [ ! -s "$work/answer" ] || { head -c 500 "$work/answer" >&2 && say; }
    case $status in
    401 | 403) fail "the service is deployed, but refuses the test: give $account roles/run.invoker on it (or check --api-key-file)" ;;
    *) fail "the service is deployed, but $1 answers $status: see 'gcloud run services logs read $service_name --region=$region --project=$project'" ;;
    esac
}

test_service() {
    local numbers
    begin "test the service"
    take_token
    expect_200 /health
    if [ $public = yes ] && [ -n "$keys_secret" ] && [ -z "$token" ]; then
        say "No test embedding: it needs a key, see --api-key-file."
        return
    fi
    expect_200 /api/ml/speaker_embedding --header 'Content-Type: audio/flac' --data-binary @tests/data/audio/reader1_a.flac
    [ $dry_run = no ] || return 0
    numbers=$(sed -n 's/.*"embedding": *\[\([^]]*\)\].*/\1/p' "$work/answer" | awk -F, '{print NF}')
    [ "$numbers" = 192 ] || fail "the service is deployed, but its embedding has ${numbers:-no} numbers instead of 192"
    say "It is healthy, and embedded a recording of 3.5 s: 192 numbers from model" \
        "$(sed -n 's/.*"model_name": *"\([^"]*\)".*/\1/p' "$work/answer")."
}

# ---- in order -------------------------------------------------------------------------------------------------------

version='' revision='' commit_time=0 step='' account='' account_mail='' token='' url='' build=no
project_pattern='^[a-z][a-z0-9-]{4,28}[a-z0-9]$'
for pair in $environment; do set_env "$pair"; done

read_arguments "$@"
want --region "$region" '^[a-z]+-[a-z]+[0-9]+$' "a region such as us-central1"
want --service-name "$service_name" '^[a-z]([a-z0-9-]{0,47}[a-z0-9])?$' "up to 49 of a-z, 0-9 and '-', beginning with a letter"
[ -z "$project" ] || want --project "$project" "$project_pattern" "a project's id, as in my-project-123"
[ $dry_run = no ] || [ -n "$project" ] || misuse "--dry-run asks nobody, so it needs --project"
check_size
check_access
check_tools

check_image

# A folder only for this user, for the service's answers and the registry's password.
work=WORK
if [ $dry_run = no ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
find_project
set_env "VOXLOCK_GCP_PROJECT=$project"
[ $build = no ] || image=$region-docker.pkg.dev/$project/$repository/$image_name:$image_tag
enable_services
ensure_account
if [ $build = yes ]; then
    ensure_repository
    if [ $local_build = yes ]; then build_here; else build_in_cloud; fi
    pin_image
fi
deploy
admit_edge
begin "find the service's address"
capture url https://SERVICE-URL gcloud run services describe "$service_name" --project="$project" --region="$region" \
    --format='value(status.url)'
# The token goes there: never in clear, except to this machine.
case $url in
https://* | http://127.0.0.1:*) ;;
*) fail "could not $step: '$url' is not an https address" ;;
esac
[ $test_request = no ] || test_service

if [ $dry_run = yes ]; then exit 0; fi
say
if [ $public = no ]; then
    say "Only accounts with roles/run.invoker may call it."
elif [ -z "$keys_secret" ]; then
    say "ANYBODY may call it; --max-instances=$max_instances bounds the bill. See --api-keys-secret."
fi
say "Put this line into the edge's configuration:"
printf 'VOXLOCK_CLOUD_ENDPOINT = %s\n' "$url"
