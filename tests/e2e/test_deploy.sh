#!/usr/bin/env bash
# test_deploy.sh - deploy_cloud_run.sh calls the commands that it should, stops at the first that fails, does nothing
# twice, shows no token, and tests the service that it deployed; deploy/service.yaml is up to date.
# Usage: test_deploy.sh BUILD_FOLDER
# gcloud, sleep and the image builders are programs of our own that write down how they were called; the test requests go
# to a real service on loopback. Where a real gcloud is installed, its parser reads every command line (it calls nobody).
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
program=$PWD/${1:?usage: test_deploy.sh BUILD_FOLDER}/voxlock-cloud
[ -x "$program" ] || program=$1/voxlock-cloud
work=$(mktemp -d) || exit 1
pid=
finish() {
    [ -z "$pid" ] || kill "$pid" 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT
. tests/support/tap.sh

# ---- the programs that it calls -------------------------------------------------------------------------------------

export FAKE=$work/fake REAL_CURL GIT_DIR=/nonexistent
REAL_CURL=$(command -v curl)
real_gcloud=$(command -v gcloud)
token=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
password=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
tree=$work/checkout bin=$work/bin
mkdir -p "$FAKE" "$bin" "$tree/tests/data/audio" "$tree/models/mine" "$tree/scripts"
cp -R deploy deploy_cloud_run.sh VERSION "$tree"
cp tests/data/audio/reader1_a.flac "$tree/tests/data/audio"
cp scripts/image.sh "$tree/scripts"
touch "$tree/Dockerfile" "$tree/models/mine/.optimization_manifest.json"

cat >"$bin/gcloud" <<'FAKE_GCLOUD'
#!/usr/bin/env bash
# What is there is a file of $FAKE/there; the call with the number in $FAKE/fail_at fails.
echo "gcloud $*" >>"$FAKE/calls"
echo >>"$FAKE/count"
if [ $(($(wc -l <"$FAKE/count"))) -eq "$(cat "$FAKE/fail_at")" ]; then
    echo "ERROR: (gcloud) PERMISSION_DENIED: fault on purpose" >&2
    exit 3
fi
case "$*" in
"auth list "*) cat "$FAKE/account" ;;
"auth print-identity-token"*) cat "$FAKE/token" ;;
"auth print-access-token") cat "$FAKE/password" ;;
"config get-value project") cat "$FAKE/project" ;;
"services list "*) ls "$FAKE/there" ;;
"services enable "*) for name in "${@:3}"; do case $name in --*) ;; *) touch "$FAKE/there/$name" ;; esac; done ;;
"artifacts docker images describe "*) cat "$FAKE/digest" ;;
"run services describe "*) cat "$FAKE/url" ;;
*" describe "*)
    if [ "$1" != projects ] && [ ! -e "$FAKE/there/$1-${4%%@*}" ]; then
        echo "ERROR: (gcloud.$1.$2.describe) NOT_FOUND: no such thing" >&2
        exit 1
    fi
    ;;
*" create "*)
    [ ! -e "$FAKE/there/$1-$4" ] || { echo "ERROR: (gcloud.$1.$2.create) ALREADY_EXISTS" >&2; exit 1; }
    touch "$FAKE/there/$1-$4"
    ;;
*) echo "gcloud speaks" ;;
esac
FAKE_GCLOUD
cat >"$bin/docker" <<'FAKE_BUILDER'
#!/usr/bin/env bash
echo "$(basename "$0") $*" >>"$FAKE/calls"
case "$*" in *password-stdin*) cat >"$FAKE/password_given" ;; esac
[ "$(basename "$0") $1" != "$(cat "$FAKE/builder_fails")" ]
FAKE_BUILDER
cp "$bin/docker" "$bin/podman"
cp "$bin/docker" "$bin/buildah"
printf '#!/bin/sh\necho "sleep $*" >>"$FAKE/sleeps"\n' >"$bin/sleep"
cat >"$bin/curl" <<'FAKE_CURL'
#!/usr/bin/env bash
# The real one, with its arguments and standard input written down; $FAKE/body stands in for the answer.
echo "curl $*" >>"$FAKE/curl_calls"
[ -e "$FAKE/body" ] || { tee -a "$FAKE/curl_stdin" | "$REAL_CURL" "$@"; exit; }
while [ "$1" != --output ]; do shift; done
cat "$FAKE/body" >"$2"
cat >/dev/null
printf 200
FAKE_CURL
chmod +x "$bin"/*

fresh() { # an empty project in which everything works
    rm -rf "$FAKE"
    mkdir -p "$FAKE/there"
    echo "me@example.com" >"$FAKE/account"
    echo "my-project" >"$FAKE/project"
    echo "$token" >"$FAKE/token"
    echo "$password" >"$FAKE/password"
    echo "sha256:$(printf 'ab%.0s' {1..32})" >"$FAKE/digest"
    echo "${url:-}" >"$FAKE/url"
    echo 0 >"$FAKE/fail_at"
    echo none >"$FAKE/builder_fails"
    touch "$FAKE/calls" "$FAKE/curl_calls" "$FAKE/sleeps"
}

deploy() { # arguments: status; what it said is in $work/out and $work/err, the calls in $FAKE/calls
    : >"$FAKE/calls"
    : >"$FAKE/count"
    (cd "$tree" && PATH=$bin:$PATH ./deploy_cloud_run.sh "$@" >"$work/out" 2>"$work/err" </dev/null)
    local status=$?
    cat "$work/out" "$work/err" "$FAKE/calls" "$FAKE/curl_calls" >>"$work/everything"
    cat "$work/err" # shown when the check fails
    return $status
}

calls_are() { # lines on standard input: exactly these calls were made
    diff - "$FAKE/calls"
}

said() { grep -qF -- "$1" "$work/err"; }
called() { grep -qF -- "$1" "$FAKE/calls"; }

# ---- one source of values -------------------------------------------------------------------------------------------

yaml_is_current() { deploy/render_service.sh | diff - deploy/service.yaml; }

# value of deploy/service.sh | another one | where it shows in service.yaml | and in what the script does
values='service_name|other-ml|name: other-ml|gcloud run deploy other-ml
region|europe-west1|image: europe-west1-docker.pkg.dev/|--region=europe-west1
repository|images|/images/voxlock-cloud|gcloud artifacts repositories create images
image_name|vx|/voxlock/vx:TAG|/voxlock/vx:
port|9000|containerPort: 9000|--port=9000
cpu|4|cpu: "4"|--cpu=4
memory|8Gi|memory: 8Gi|--memory=8Gi
min_instances|1|minScale: "1"|--min-instances=1
max_instances|7|maxScale: "7"|--max-instances=7
concurrency|20|containerConcurrency: 20|--concurrency=20
timeout_s|60|timeoutSeconds: 60|--timeout=60
startup_path|/s|path: /s|--startup-probe=httpGet.path=/s,httpGet.port=8010
startup_period_s|9|periodSeconds: 9|periodSeconds=9,timeoutSeconds=1,failureThreshold=60
startup_timeout_s|9|timeoutSeconds: 9|periodSeconds=1,timeoutSeconds=9,failureThreshold=60
startup_failures|9|failureThreshold: 9|periodSeconds=1,timeoutSeconds=1,failureThreshold=9
liveness_path|/l|path: /l|--liveness-probe=httpGet.path=/l,httpGet.port=8010
liveness_period_s|9|periodSeconds: 9|periodSeconds=9,timeoutSeconds=5,failureThreshold=2
liveness_timeout_s|9|timeoutSeconds: 9|periodSeconds=120,timeoutSeconds=9,failureThreshold=2
liveness_failures|9|failureThreshold: 9|periodSeconds=120,timeoutSeconds=5,failureThreshold=9
environment|ECAPA_CACHE_SIZE=9|name: ECAPA_CACHE_SIZE|^|^ECAPA_CACHE_SIZE=9|VOXLOCK_GCP_PROJECT=my-project'

every_value_is_used() {
    local name value yaml command other=$work/other
    cp -R "$tree" "$other"
    diff <(cut -d'|' -f1 <<<"$values" | sort) <(sed -n 's/^\([a-z_]*\)=.*/\1/p' deploy/service.sh | sort) || return 1
    while IFS='|' read -r name value yaml command; do
        sed "s|^$name=.*|$name=\"$value\"|" deploy/service.sh >"$other/deploy/service.sh"
        "$other/deploy/render_service.sh" >"$work/yaml" && grep -qF -- "$yaml" "$work/yaml" ||
            { echo "$name is not in the YAML"; return 1; }
        PATH=$bin:$PATH "$other/deploy_cloud_run.sh" --dry-run --project my-project >"$work/dry" && grep -qF -- "$command" "$work/dry" ||
            { echo "$name is not used"; return 1; }
    done <<<"$values"
}

# ---- exact calls ----------------------------------------------------------------------------------------------------

default_calls() {
    local image=us-central1-docker.pkg.dev/my-project/voxlock/voxlock-cloud account=voxlock-ml-run@my-project.iam.gserviceaccount.com
    cat <<CALLS
gcloud auth list --filter=status:ACTIVE --format=value(account)
gcloud config get-value project
gcloud projects describe my-project --format=value(projectNumber)
gcloud services list --enabled --project=my-project --format=value(config.name)
gcloud services enable run.googleapis.com iam.googleapis.com artifactregistry.googleapis.com cloudbuild.googleapis.com --project=my-project
gcloud iam service-accounts describe $account --project=my-project
gcloud iam service-accounts create voxlock-ml-run --project=my-project --display-name=voxlock-cloud, without roles
gcloud artifacts repositories describe voxlock --project=my-project --location=us-central1
gcloud artifacts repositories create voxlock --project=my-project --location=us-central1 --repository-format=docker --description=Images of voxlock
gcloud builds submit . --project=my-project --config=deploy/cloudbuild.yaml --substitutions=_IMAGE=$image:$(cat VERSION),_TARGET=full,_MODEL=starter,_VERSION=$(cat VERSION),_REVISION=unknown,_TIME=0
gcloud artifacts docker images describe $image:$(cat VERSION) --project=my-project --format=value(image_summary.digest)
gcloud run deploy voxlock-ml --project=my-project --region=us-central1 --image=$image@$(cat "$FAKE/digest") --service-account=$account --port=8010 --cpu=2 --memory=4Gi --min-instances=0 --max-instances=3 --concurrency=10 --timeout=300 --cpu-boost --cpu-throttling --startup-probe=httpGet.path=/health,httpGet.port=8010,periodSeconds=1,timeoutSeconds=1,failureThreshold=60 --liveness-probe=httpGet.path=/health/live,httpGet.port=8010,periodSeconds=120,timeoutSeconds=5,failureThreshold=2 --set-env-vars=^|^VOXLOCK_FORWARDED_HOPS=1|VOXLOCK_GCP_PROJECT=my-project --clear-secrets --no-allow-unauthenticated --quiet
gcloud run services update-traffic voxlock-ml --project=my-project --region=us-central1 --to-latest --format=none
gcloud run services describe voxlock-ml --project=my-project --region=us-central1 --format=value(status.url)
gcloud auth print-identity-token
CALLS
}

first_deploy() { fresh && deploy && default_calls | calls_are; }

prints_the_setting() { [ "$(cat "$work/out")" = "VOXLOCK_CLOUD_ENDPOINT = $url" ]; }

second_deploy() { # in the project that the first one left: it looks, and makes nothing
    deploy && default_calls | grep -vE ' (create|enable) ' | calls_are
}

half_deployed() { # stopped before the repository was made: only that is made
    fresh && deploy && rm "$FAKE/there/artifacts-voxlock" && deploy &&
        default_calls | grep -vE 'service-accounts create| enable ' | calls_are
}

# arguments | a call that must be made, or after '!' a part that no call may have
options='--project=other-project-1|gcloud projects describe other-project-1
--project other-project-1|--substitutions=_IMAGE=us-central1-docker.pkg.dev/other-project-1/voxlock/
--project other-project-1|!config get-value
--region europe-west4|gcloud artifacts repositories create voxlock --project=my-project --location=europe-west4
--region europe-west4|gcloud run deploy voxlock-ml --project=my-project --region=europe-west4 --image=europe-west4-docker
--region europe-west4|gcloud run services describe voxlock-ml --project=my-project --region=europe-west4
--service-name voices|gcloud run deploy voices --project
--service-name voices|gcloud iam service-accounts create voices-run
--target slim|,_TARGET=slim,_MODEL=starter
--model models/mine|,_MODEL=models/mine
--image-tag v7|voxlock-cloud:v7,_TARGET
--image gcr.io/p/i:3|--image=gcr.io/p/i:3
--image gcr.io/p/i:3|!builds submit
--image gcr.io/p/i:3|!artifacts
--image gcr.io/p/i:3|gcloud services enable run.googleapis.com iam.googleapis.com --project
--cpu 4 --memory 2Gi|--cpu=4 --memory=2Gi
--cpu 1 --memory 512Mi|--cpu=1 --memory=512Mi
--min-instances 1|--min-instances=1
--max-instances 9|--max-instances=9
--concurrency 80|--concurrency=80
--timeout 60|--timeout=60
--set-env ECAPA_CACHE_SIZE=7|=^|^VOXLOCK_FORWARDED_HOPS=1|ECAPA_CACHE_SIZE=7|VOXLOCK_GCP_PROJECT=my-project
--set-env VOXLOCK_FORWARDED_HOPS=2|=^|^VOXLOCK_FORWARDED_HOPS=2|VOXLOCK_GCP_PROJECT=my-project
--set-env VOXLOCK_CORS_ORIGINS=https://a.example,https://b.example|VOXLOCK_CORS_ORIGINS=https://a.example,https://b.example|
--edge-service-account edge@p.iam.gserviceaccount.com|gcloud run services add-iam-policy-binding voxlock-ml --project=my-project --region=us-central1 --member=serviceAccount:edge@p.iam.gserviceaccount.com --role=roles/run.invoker --format=none
--edge-service-account a@p.iam.gserviceaccount.com --edge-service-account b@p.iam.gserviceaccount.com|--member=serviceAccount:a@p
--edge-service-account a@p.iam.gserviceaccount.com --edge-service-account b@p.iam.gserviceaccount.com|--member=serviceAccount:b@p
--service-account runner|gcloud iam service-accounts create runner --project
--service-account runner|--service-account=runner@my-project.iam.gserviceaccount.com
--allow-unauthenticated|--clear-secrets --allow-unauthenticated --quiet
--allow-unauthenticated|!print-identity-token
--allow-unauthenticated --api-keys-secret keys|--set-secrets=VOXLOCK_API_KEYS=keys:latest --allow-unauthenticated --quiet
--allow-unauthenticated --api-keys-secret keys|gcloud secrets add-iam-policy-binding keys --project=my-project --member=serviceAccount:voxlock-ml-run@my-project.iam.gserviceaccount.com --role=roles/secretmanager.secretAccessor --format=none
--skip-test|!print-identity-token
--local-build --builder buildah|!cloudbuild'

options_do_what_they_say() {
    local arguments expected
    echo '{"embedding": ['"$(seq 192 | paste -sd, -)"'], "model_name": "m"}' >"$work/body"
    while IFS='|' read -r arguments expected; do
        fresh
        cp "$work/body" "$FAKE/body"
        # shellcheck disable=SC2086
        deploy $arguments || { echo "failed: $arguments"; return 1; }
        case $expected in
        !*) ! called "${expected#!}" ;;
        *) called "$expected" ;;
        esac || { echo "$arguments: not as expected: $expected"; cat "$FAKE/calls"; return 1; }
    done <<<"$options"
}

pushes() { # builder, image
    if [ "$1" = docker ]; then
        echo "gcloud auth configure-docker us-central1-docker.pkg.dev --quiet"
        echo "docker push $2"
    else
        echo "gcloud auth print-access-token"
        echo "$1 login --authfile=FILE --username=oauth2accesstoken --password-stdin us-central1-docker.pkg.dev"
        echo "$1 push --authfile=FILE $2"
    fi
}

local_builds() { # with each builder: builds, pushes, and gives the registry's password on standard input only
    local builder image=us-central1-docker.pkg.dev/my-project/voxlock/voxlock-cloud:v1
    for builder in docker podman buildah; do
        fresh
        deploy --local-build --builder "$builder" --image-tag v1 --target slim --skip-test || return 1
        sed 's/--authfile=[^ ]*/--authfile=FILE/' "$FAKE/calls" | sed -n "/^$builder bu/,/images describe/p" >"$work/built"
        # Sorted, since the two ends of a pipe start in any order.
        diff <(sort "$work/built") <(sort <<CALLS
$builder $([ "$builder" = buildah ] && echo bud || echo build) --target slim --tag $image --build-arg MODEL=starter --build-arg VERSION=$(cat VERSION) --build-arg REVISION=unknown --build-arg SOURCE_DATE_EPOCH=0 --platform=linux/amd64 .
$(pushes "$builder" $image)
gcloud artifacts docker images describe $image --project=my-project --format=value(image_summary.digest)
CALLS
        ) || return 1
        [ $builder = docker ] || [ "$(cat "$FAKE/password_given")" = "$password" ] || return 1
    done
}

builder_failures() {
    local step said
    while IFS='|' read -r step said; do
        fresh
        echo "$step" >"$FAKE/builder_fails"
        ! deploy --local-build --builder podman || { echo "$step failed, and nobody said so"; return 1; }
        grep -q "^deploy: could not $said" "$work/err" && ! called "run deploy" || return 1
    done <<<"podman build|build the image with podman: 'env ENGINE=podman scripts/image.sh full
podman login|push the image: 'podman login
podman push|push the image: 'podman push"
}

commit_in_the_tag() { # and in the labels; a checkout that was changed says so
    local repository=$work/repository commit git=(git -c user.name=a -c user.email=a@example.com -c commit.gpgsign=false)
    cp -R "$tree" "$repository"
    (
        cd "$repository" && unset GIT_DIR && "${git[@]}" init -q && "${git[@]}" add -A && "${git[@]}" commit -q -m a &&
            commit=$(git rev-parse HEAD) && tag=voxlock-cloud:$(cat VERSION)-${commit:0:12} && PATH=$bin:$PATH || exit 1
        ./deploy_cloud_run.sh --dry-run --project my-project >"$work/clean" && touch new &&
            ./deploy_cloud_run.sh --dry-run --project my-project >"$work/changed" &&
            grep -qE "$tag,.*_REVISION=$commit,_TIME=[1-9][0-9]{9}$" "$work/clean" &&
            grep -qE "$tag-modified,.*_REVISION=$commit-modified,_TIME" "$work/changed"
    )
}

# ---- failures -------------------------------------------------------------------------------------------------------

stops_at_every_failure() { # the k-th call of gcloud fails, for every k: nothing further is called, one line says what
    local k=0 n
    n=$(default_calls | wc -l)
    while k=$((k + 1)); do
        fresh
        echo $k >"$FAKE/fail_at"
        ! deploy || break
        [ $((n >= k)) = 1 ] || { echo "fails without a failing call"; return 1; }
        default_calls | head -n "$k" | calls_are || return 1
        if [ "$(grep -c '^deploy: could not ' "$work/err")" != 1 ] || ! said "ended with status 3" || [ -s "$work/out" ]; then
            echo "call $k: no clear message"
            return 1
        fi
    done
    [ $k -eq $((n + 1)) ] || { echo "a failure of call $k of $n went unnoticed"; return 1; }
}

# What gcloud says | arguments | what the script must say; each is exit status 1, and nothing was deployed.
answers='account||gcloud is not logged in: run .gcloud auth login
project||no project: give --project
digest||Artifact Registry does not know
url|ftp://elsewhere|is not an https address
url|http://10.0.0.1|is not an https address
token||no usable token
token|a"b c|no usable token'

bad_answers_are_refused() {
    local what answer message
    while IFS='|' read -r what answer message; do
        fresh
        echo "$answer" >"$FAKE/$what"
        ! deploy || { echo "$what '$answer' was taken"; return 1; }
        grep -q "^deploy: .*$message" "$work/err" || { echo "$what '$answer': no message"; return 1; }
        [ ! -s "$FAKE/curl_calls" ] || { echo "$what '$answer': the service was called"; return 1; }
    done <<<"$answers"
}

# arguments | what is said about them; each is refused with exit status 2 before anything is called
misuses='--region here|--region .here. must be a region
--region|its value is missing
--service-name Voices|--service-name .Voices. must be
--service-name a-|--service-name .a-. must be
--project Nope|--project .Nope. must be
--project a;b|--project .a;b. must be
--target fat|--target .fat. must be full or slim
--image-tag a/b|--image-tag .a/b. must be a tag
--image -x|--image .-x. must be
--model nowhere|--model .nowhere. is not a folder
--model /|lies outside the checkout
--model tests|holds neither
--cpu 3|--cpu .3. must be 1, 2, 4, 6 or 8
--memory 4G|--memory .4G. must be a size
--memory 16Gi|with 2 CPUs Cloud Run takes 128Mi to 8192Mi
--cpu 4 --memory 1Gi|with 4 CPUs Cloud Run takes 2048Mi to 16384Mi
--min-instances 4|--min-instances .4. must be from 0 to 3
--max-instances 0|--max-instances .0. must be from 1
--max-instances many|must be a number
--concurrency 1001|must be from 1 to 1000
--timeout 0|must be from 1 to 3600
--set-env lower=1|must be NAME=VALUE
--set-env NAME|must be NAME=VALUE
--set-env PORT=1|Cloud Run sets it itself
--set-env VOXLOCK_API_KEYS=a:b|use --api-keys-secret
--edge-service-account me@example.com|must be a service account
--service-account me@p.iam.gserviceaccount.com|a name without
--api-keys-secret k|needs --allow-unauthenticated
--allow-unauthenticated --api-keys-secret a/b|must be the name of a secret
--api-key-file f|is for services with --api-keys-secret
--allow-unauthenticated --api-keys-secret k --api-key-file nowhere|cannot be read
--local-build --builder make|must be docker, podman or buildah
--dry-run|needs --project
--frobnicate x|unknown option .--frobnicate.
stray|not an option'

bad_arguments_are_refused() {
    local arguments message status
    while IFS='|' read -r arguments message; do
        fresh
        # shellcheck disable=SC2086
        deploy $arguments
        status=$?
        if [ $status -ne 2 ] || [ -s "$FAKE/calls" ] || [ "$(wc -l <"$work/err")" -ne 1 ] || ! grep -q "^deploy: .*$message" "$work/err"; then
            echo "'$arguments' ended with status $status"
            return 1
        fi
    done <<<"$misuses"
    ! deploy --set-env 'A=b|c' && said "a value cannot hold '|'" && [ ! -s "$FAKE/calls" ]
}

needs_gcloud() { # nor does it begin without
    local tool minimal=$work/minimal
    fresh
    mkdir -p "$minimal"
    for tool in bash env dirname cat sed git curl mktemp rm; do ln -sf "$(command -v $tool)" "$minimal/$tool"; done
    ! PATH=$minimal "$tree/deploy_cloud_run.sh" --project my-project 2>"$work/err" && said "gcloud is not on PATH" || return 1
    ln -sf "$bin/gcloud" "$minimal/gcloud"
    ! PATH=$minimal "$tree/deploy_cloud_run.sh" --project my-project --local-build 2>"$work/err" &&
        said "needs docker, podman or buildah"
}

# ---- dry run --------------------------------------------------------------------------------------------------------

dry_run_calls_nothing() {
    fresh
    deploy --dry-run --project my-project --edge-service-account e@p.iam.gserviceaccount.com &&
        [ ! -s "$FAKE/calls" ] && [ ! -s "$FAKE/curl_calls" ] && ! said gcloud
}

dry_run_is_a_script() { # run by a shell, what it printed calls what a real run calls, on a first run and on a second
    local arguments=(--project my-project --skip-test --edge-service-account e@p.iam.gserviceaccount.com
        --set-env "VOXLOCK_CORS_ORIGINS=it's, *" --local-build --builder docker)
    fresh
    deploy "${arguments[@]}" && cp "$FAKE/calls" "$work/real" || return 1
    fresh
    deploy "${arguments[@]}" --dry-run && cp "$work/out" "$work/dry.sh" || return 1
    PATH=$bin:$PATH bash -e "$work/dry.sh" >/dev/null 2>&1 || { cat "$work/dry.sh"; return 1; }
    diff <(sed "s/$(cat "$FAKE/digest")/DIGEST/" "$work/real") "$FAKE/calls"
}

help_names_every_option() {
    "$tree/deploy_cloud_run.sh" --help >"$work/help" || return 1
    sed -n '/^read_arguments() {/,/^# ----/p' deploy_cloud_run.sh | grep -oE '^ *--[a-z-]+' | tr -d ' ' |
        grep -v -- --no-allow-unauthenticated | sort -u >"$work/accepted"
    [ "$(wc -l <"$work/accepted")" -gt 15 ] &&
        diff "$work/accepted" <(grep -oE -- '--[a-z]+[a-z-]*' "$work/help" | sort -u)
}

gcloud_knows_the_commands() { # a parser's opinion; gcloud has a folder of its own here and is told to call nobody
    export CLOUDSDK_CONFIG=$work/gcloud CLOUDSDK_CORE_DISABLE_USAGE_REPORTING=true CLOUDSDK_CORE_DISABLE_PROMPTS=1 \
        CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK=true CLOUDSDK_CORE_CHECK_GCE_METADATA=false
    fresh
    {
        deploy --dry-run --project my-project --edge-service-account e@p.iam.gserviceaccount.com >/dev/null && cat "$work/out"
        deploy --dry-run --project my-project --allow-unauthenticated --api-keys-secret k --local-build --builder docker \
            >/dev/null && cat "$work/out"
        echo "gcloud run services replace deploy/service.yaml --project=p --region=r"
        echo "gcloud run deploy s --no-such-flag=1"
    } | sed -nE 's/^ *(gcloud [^|]*)( \|.*)?$/\1/; s/  # prints.*//; s/ \|\|$//; /^gcloud /p' |
        jq -R '{command_string: .}' | jq -s . >"$work/commands.json"
    "$real_gcloud" meta lint-gcloud-commands --commands-file="$work/commands.json" >"$work/verdicts.json" || return 1
    jq -r '.[] | select(.success | not) | .command_string' "$work/verdicts.json" >"$work/unknown"
    echo "gcloud run deploy s --no-such-flag=1" | diff - "$work/unknown" && [ "$(jq length "$work/verdicts.json")" -gt 20 ]
}

# ---- the test request, at a real service ----------------------------------------------------------------------------

start() { # a service that wants our token
    local port=
    VOXLOCK_API_KEYS=$(printf %s "$token" | "$program" hash-key deployer) "$program" --port 0 --bind 127.0.0.1 \
        --model models/starter --log-format text 2>"$work/log" &
    pid=$!
    for _ in $(seq 200); do
        port=$(sed -n 's/.*listening.*port=\([0-9]*\).*/\1/p' "$work/log")
        [ -n "$port" ] && break
        sleep 0.05
    done
    [ -n "$port" ] || { cat "$work/log"; return 1; }
    url=http://127.0.0.1:$port
}

real_embedding() {
    fresh && deploy && said "192 numbers from model voxlock-starter" && grep -qF "Bearer $token" "$FAKE/curl_stdin"
}

key_from_a_file() { # on a service that IAM does not guard
    local arguments=(--allow-unauthenticated --api-keys-secret keys)
    printf %s "$token" >"$work/key"
    fresh && deploy "${arguments[@]}" --api-key-file "$work/key" && said "192 numbers" && deploy "${arguments[@]}" &&
        said "No test embedding: it needs a key" && ! said "192 numbers"
}

audience_of_a_service_account() {
    fresh
    echo robot@p.iam.gserviceaccount.com >"$FAKE/account"
    deploy && called "gcloud auth print-identity-token --audiences=$url"
}

refused_token() { # tried for two minutes, since a new right is not known everywhere at once
    fresh
    echo wrong >"$FAKE/token"
    ! deploy && said "refuses the test: give me@example.com roles/run.invoker" && [ "$(grep -c . "$FAKE/sleeps")" = 11 ] &&
        [ ! -s "$work/out" ]
}

no_answer() {
    fresh
    echo http://127.0.0.1:1 >"$FAKE/url"
    ! deploy && said "/health answers 000: see 'gcloud run services logs read" && [ ! -s "$work/out" ]
}

wrong_embedding() {
    fresh
    echo '{"embedding": ['"$(seq 191 | paste -sd, -)"']}' >"$FAKE/body"
    ! deploy && said "has 191 numbers instead of 192" && [ ! -s "$work/out" ]
}

public_is_said() { fresh && cp "$work/body" "$FAKE/body" && deploy --allow-unauthenticated && said "ANYBODY may call it"; }

no_secret_was_shown() { # of all that was printed and all command lines of this test
    [ "$(grep -c . "$work/everything")" -gt 100 ] && ! grep -qF -e "$token" -e "$password" "$work/everything"
}

nothing_is_left() { [ -z "$(ls "$work/tmp")" ]; }

mkdir "$work/tmp"
export TMPDIR=$work/tmp
check "deploy/service.yaml is what deploy/service.sh says (else: make deploy-render)" yaml_is_current
check "every value of deploy/service.sh reaches the YAML and the command" every_value_is_used
check "a service that wants a token starts" start
check "the first deployment makes what is missing, with exactly these calls" first_deploy
check "it ends with the line for the edge's configuration, and nothing else on standard output" prints_the_setting
check "the second one makes nothing" second_deploy
check "one that was interrupted makes what is missing" half_deployed
check "each option does what it says" options_do_what_they_say
check "docker, podman and buildah build and push here" local_builds
check "the commit is in the tag and in the labels" commit_in_the_tag
check "a build, login or push that fails stops it" builder_failures
check "the k-th call fails: it stops there and says what it could not do" stops_at_every_failure
check "answers of gcloud that cannot be used are refused" bad_answers_are_refused
check "bad arguments are refused before anything is called" bad_arguments_are_refused
check "it says when gcloud or a builder is missing" needs_gcloud
check "--dry-run calls nothing" dry_run_calls_nothing
check "--dry-run prints a script that calls what a real run calls" dry_run_is_a_script
check "--help names every option" help_names_every_option
check "the embedding at the end comes from a real service, with the token that gcloud gave" real_embedding
check "with keys, the token comes from a file" key_from_a_file
check "a service account's token is for this service" audience_of_a_service_account
check "a token that is refused is said" refused_token
check "no answer is said" no_answer
check "an embedding of another length is said" wrong_embedding
check "a service open to anybody is said" public_is_said
check "no token and no password was printed or given as an argument" no_secret_was_shown
check "no temporary file is left" nothing_is_left
if [ -n "$real_gcloud" ] && command -v jq >/dev/null; then
    check "gcloud's own parser knows every command and flag" gcloud_knows_the_commands
else
    n=$((n + 1))
    echo "ok $n - gcloud's own parser knows every command and flag # SKIP gcloud or jq is not installed"
fi
echo "1..$n"
