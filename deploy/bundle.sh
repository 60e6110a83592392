#!/bin/sh
# Packs what a machine without internet needs into dist/gw-VERSION-ARCH.tar: `deploy/bundle.sh`, or `make bundle`.
# The images must be built (`make images`); COMPOSE_FILE, from the environment or .env, says for which kind of host.
#   GW_VERSION           which version [that of gw/webapp:latest]
#   GW_BUNDLE_COMPRESS   gzip, which every Docker engine loads, or zstd, for engines from 23 on or hosts with zstd [gzip]
#   GW_BUNDLE_MODELS     a folder of models to put in [none]
#   GW_BUNDLE_INTO       where the bundle goes [dist]
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
fail() { echo "bundle.sh: $*" >&2; exit 1; }

if [ -z "${GW_VERSION:-}" ]; then
    GW_VERSION="$(docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.version"}}' gw/webapp:latest 2>/dev/null || true)"
    [ -n "${GW_VERSION}" ] || fail "there is no image gw/webapp:latest; build the images first: make images"
fi
export GW_VERSION
# shellcheck disable=SC2086  # two words
images="$(${compose} config --images | sort -u)"
redis_image="$(printf '%s\n' "${images}" | grep -v '^gw/')"

architecture=""
for image in ${images}; do
    found="$(docker image inspect --format '{{.Architecture}}' "${image}" 2>/dev/null || true)"
    [ -n "${found}" ] || fail "there is no image ${image}; build or pull it first"
    [ "${architecture:-${found}}" = "${found}" ] || fail "${image} is for ${found} and others are for ${architecture}"
    architecture="${found}"
done
case "${architecture}" in arm64) architecture=aarch64 ;; amd64) architecture=x86_64 ;; esac

name="gw-${GW_VERSION}-${architecture}"
into="${GW_BUNDLE_INTO:-dist}"
mkdir -p "${into}"
work="$(mktemp -d "${into}/.bundle.XXXXXX")"
trap 'rm -rf "${work}"' EXIT INT TERM
root="${work}/${name}"
mkdir -p "${root}/deploy" "${root}/docs" "${root}/gwproc"

cp deploy/install.sh "${root}/"
cp docker-compose.yaml "${root}/"
cp deploy/compose.*.yaml deploy/env.example deploy/redis-start.sh deploy/gw.service "${root}/deploy/"
cp docs/deploy.md docs/deploy.zh-CN.md "${root}/docs/"
if [ -n "${GW_BUNDLE_MODELS:-}" ]; then cp -R "${GW_BUNDLE_MODELS}/." "${root}/gwproc/"; fi

for image in ${images}; do
    echo "${image} $(docker image inspect --format '{{.Id}}' "${image}")"
done >"${root}/IMAGES"

# A layer that several images share is in the archive once.
case "${GW_BUNDLE_COMPRESS:-gzip}" in
    gzip) pack="$(command -v pigz || command -v gzip) -n -3" archive=images.tar.gz ;;
    zstd) pack="zstd -q -T0 -c" archive=images.tar.zst ;;
    *) fail "GW_BUNDLE_COMPRESS is gzip or zstd" ;;
esac
mkfifo "${work}/counted"
wc -c <"${work}/counted" >"${work}/images_bytes" &
# shellcheck disable=SC2086  # a list of names, a command with its options
{ docker save ${images} || touch "${work}/failed"; } | tee "${work}/counted" | ${pack} >"${root}/${archive}"
wait
[ ! -e "${work}/failed" ] || fail "docker save failed; see above"

cat >"${root}/VERSION" <<FACTS
version=${GW_VERSION}
arch=${architecture}
redis_image=${redis_image}
images_bytes=$(tr -d ' ' <"${work}/images_bytes")
revision=$(docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}' "gw/webapp:${GW_VERSION}")
FACTS
(cd "${root}" && find . -type f ! -name SHA256SUMS | sort | sed 's#^\./##' | while read -r path; do sha256sum "${path}"; done >"${work}/SHA256SUMS")
mv "${work}/SHA256SUMS" "${root}/SHA256SUMS"

tar -C "${work}" --owner=0 --group=0 -cf "${into}/${name}.tar.part" "${name}"
mv "${into}/${name}.tar.part" "${into}/${name}.tar"
(cd "${into}" && sha256sum "${name}.tar" >"${name}.tar.sha256")
ls -l "${into}/${name}.tar"
