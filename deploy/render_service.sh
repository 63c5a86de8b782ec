#!/usr/bin/env bash
# render_service.sh - deploy/service.sh as a Knative service, for Cloud Run or any Knative cluster, on standard output.
# Usage: deploy/render_service.sh [--project ID] [--image IMAGE] [--service-account NAME]
#   --project          Google Cloud project (default: PROJECT_ID, to be replaced by hand)
#   --image            the image with its tag or digest (default: the one deploy_cloud_run.sh pushes, tag TAG)
#   --service-account  what the container runs as; '' leaves it to the cluster (default: the one deploy_cloud_run.sh makes)
# `make deploy-render` writes deploy/service.yaml with it. Does not: call anything or anybody.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=deploy/service.sh
. deploy/service.sh

fail() {
    echo "render_service.sh: $*" >&2
    exit 2
}

project=PROJECT_ID image='' account=default
while [ $# -gt 0 ]; do
    case $1 in --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;; esac
    case $1 in --project | --image | --service-account) [ $# -ge 2 ] || fail "$1 needs a value" ;; esac
    case $1 in
    --project) project=$2 ;;
    --image) image=$2 ;;
    --service-account) account=$2 ;;
    *) fail "unknown argument '$1': see the head of this file" ;;
    esac
    shift 2
done
: "${image:=$region-docker.pkg.dev/$project/$repository/$image_name:TAG}"
[ "$account" != default ] || account=$service_name-run@$project.iam.gserviceaccount.com
# They become YAML below: nothing that could end a plain scalar.
for value in "$project" "$image" "$account"; do
    [[ $value =~ ^[A-Za-z0-9._/:@-]*$ ]] || fail "'$value' has a character that no name here can have"
done

spec() {
    printf '      containerConcurrency: %s\n      timeoutSeconds: %s\n' "$concurrency" "$timeout_s"
    [ -z "$account" ] || printf '      serviceAccountName: %s\n' "$account"
}

environment() {
    local entry
    for entry in $environment "VOXLOCK_GCP_PROJECT=$project"; do
        printf '            - name: %s\n              value: "%s"\n' "${entry%%=*}" "${entry#*=}"
    done
}

probe() { # name, path, period, timeout, failures
    printf '          %s:\n            httpGet:\n              path: %s\n              port: %s\n' "$1" "$2" "$port"
    printf '            periodSeconds: %s\n            timeoutSeconds: %s\n            failureThreshold: %s\n' "$3" "$4" "$5"
}

cat <<YAML
# Made by deploy/render_service.sh from deploy/service.sh: change that, then run make deploy-render.
# The same service as deploy_cloud_run.sh deploys with flags; docs/deploy.md says when to use which.
apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: $service_name
spec:
  template:
    metadata:
      annotations:
        autoscaling.knative.dev/minScale: "$min_instances"
        autoscaling.knative.dev/maxScale: "$max_instances"
        run.googleapis.com/cpu-throttling: "true"
        run.googleapis.com/startup-cpu-boost: "true"
    spec:
$(spec)
      containers:
        - image: $image
          ports:
            - name: http1
              containerPort: $port
          env:
$(environment)
          resources:
            limits:
              cpu: "$cpu"
              memory: $memory
$(probe startupProbe "$startup_path" "$startup_period_s" "$startup_timeout_s" "$startup_failures")
$(probe livenessProbe "$liveness_path" "$liveness_period_s" "$liveness_timeout_s" "$liveness_failures")
YAML
