# service.sh - how voxlock-cloud runs on Cloud Run; the only place where these values are written. Assignments, nothing else.
# Sourced by deploy_cloud_run.sh, deploy/render_service.sh and scripts/cost.sh. After a change: make deploy-render.
# shellcheck shell=bash disable=SC2034

service_name=voxlock-ml
region=us-central1
repository=voxlock
image_name=voxlock-cloud

port=8010
cpu=2
memory=4Gi
min_instances=0
max_instances=3
concurrency=10
timeout_s=300

# Cloud Run sends no request before this has succeeded: a model that loads in a second must not wait for a second probe
# ten seconds later, and one on a slow disk may take a minute.
startup_path=/health
startup_period_s=1
startup_timeout_s=1
startup_failures=60

# Not /health: an instance whose model cannot be loaded lives on so that its log can be read. Every probe of an idle
# instance is billed, by at most 0.1 s: asked every 10 s (Cloud Run's default) an instance that is always there costs
# $1.50 a month in probes, asked every 120 s it costs $0.13.
liveness_path=/health/live
liveness_period_s=120
liveness_timeout_s=5
liveness_failures=2

# NAME=value, with spaces between. Cloud Run's front end adds one entry to X-Forwarded-For.
environment="VOXLOCK_FORWARDED_HOPS=1"
