#!/bin/sh
# Builds the images with labels that say what they are: `deploy/build.sh [IMAGE...]`, or `make images`.
# Takes its settings, such as base images and COMPOSE_FILE, from the environment and from .env, as Compose does.
# Without a COMPOSE_FILE it builds the images of a host without NPU, which any machine can build.
set -eu
cd "$(dirname "$0")/.."

if docker compose version >/dev/null 2>&1; then
    compose="docker compose"
else
    compose="${COMPOSE:-docker-compose}"
fi
if [ -z "${COMPOSE_FILE:-}" ] && ! grep -qs '^COMPOSE_FILE=' .env; then
    COMPOSE_FILE=docker-compose.yaml:deploy/compose.cpu.yaml
    export COMPOSE_FILE
fi

# Major and minor number by hand, the last one counts commits.
version="$(sed -n 's/^version = "\([0-9]*\.[0-9]*\)\..*"$/\1/p' pyproject.toml | head -n 1)"
if git rev-parse HEAD >/dev/null 2>&1; then
    version="${version}.$(git rev-list --count HEAD)"
    GW_REVISION="$(git rev-parse HEAD)$(test -z "$(git status --porcelain)" || echo -dirty)"
    # The commit's time and not the clock's: the same commit makes the same image.
    GW_CREATED="$(git show --no-patch --format=%cI HEAD)"
    # Where it comes from, without a user name or a password.
    GW_SOURCE="${GW_SOURCE:-$(git config --get remote.origin.url | sed 's#//[^/@]*@#//#' || true)}"
else
    version="${version}.0"
fi
# A version that is asked for by name becomes that tag alone, and not the latest.
is_named="${GW_VERSION:-}"
GW_VERSION="${GW_VERSION:-${version}}"
export GW_VERSION GW_REVISION GW_CREATED GW_SOURCE

# The digest of a base that was pulled; one that was loaded from a file has none.
digest() {
    docker image inspect --format '{{join .RepoDigests "\n"}}' "$1" 2>/dev/null | sed -n '1s/.*@//p'
}
setting() {
    eval "found=\${$1:-}"
    # shellcheck disable=SC2154  # set by eval
    if [ -z "${found}" ] && [ -f .env ]; then found="$(sed -n "s/^$1=//p" .env)"; fi
    echo "${found:-$2}"
}
GW_PYTHON_DIGEST="$(digest "$(setting GW_PYTHON_IMAGE python:3.11-alpine)")"
GW_CPU_DIGEST="$(digest "$(setting GW_CPU_IMAGE python:3.11-slim-bookworm)")"
GW_ASCEND_DIGEST="$(digest "$(setting GW_ASCEND_IMAGE ascendhub.huawei.com/public-ascendhub/ascend-infer-310b:24.0.RC1-arm)")"
export GW_PYTHON_DIGEST GW_CPU_DIGEST GW_ASCEND_DIGEST

# shellcheck disable=SC2086  # two words
${compose} build "$@"

# The newest is what runs unless GW_VERSION says otherwise.
for image in webapp notifier postprocess dispatcher dispatcher-cpu; do
    if [ -z "${is_named}" ] && docker image inspect "gw/${image}:${GW_VERSION}" >/dev/null 2>&1; then
        docker tag "gw/${image}:${GW_VERSION}" "gw/${image}:latest"
    fi
done
docker image ls --filter "reference=gw/*:${GW_VERSION}"
