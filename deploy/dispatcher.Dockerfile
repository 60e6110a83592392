# gw/dispatcher: batches work onto the device. Two kinds: RUNTIME=acl on the vendor's run-time image,
# which has CANN and as a rule no Python, and RUNTIME=onnx on any glibc image, for hosts without NPU.
# Layers, by how often they change: base, interpreter, dependencies, code.
ARG BASE=ascendhub.huawei.com/public-ascendhub/ascend-infer-310b:24.0.RC1-arm

# hadolint ignore=DL3006
FROM ${BASE} AS interpreter
# The vendor's image ends as its own user, who may install nothing.
# hadolint ignore=DL3002
USER 0:0
# A pattern that meets nothing is fine beside a file that is there.
COPY deploy/elf.py deploy/layers.py Miniconda3-*.sh /build/
WORKDIR /build
# A Miniconda installer that lies in the project's folder wins; else the base must have Python 3.11 or
# newer. Without either the build ends here, with that sentence.
RUN set -eu; \
    mkdir -p /layer/opt/gw/bin; \
    for installer in /build/Miniconda3-*.sh; do \
        if [ -f "${installer}" ]; then \
            sh "${installer}" -b -p /opt/conda; \
            /opt/conda/bin/python3 layers.py interpreter --prefix /opt/conda --into /layer/opt/conda; \
            ln -s /opt/conda/bin/python3 /layer/opt/gw/bin/python; \
            ln -s /opt/conda/bin/python3 /build/pip-python; \
        fi; \
    done; \
    for name in python3.11 python3.12 python3.13 python3 python; do \
        found="$(command -v "${name}" || true)"; \
        if [ ! -e /build/pip-python ] && [ -n "${found}" ] \
            && "${found}" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
            ln -s "${found}" /layer/opt/gw/bin/python; \
            ln -s "${found}" /build/pip-python; \
        fi; \
    done; \
    if [ ! -e /build/pip-python ]; then \
        echo 'The base image has no Python 3.11 or newer: put a Miniconda3-*.sh for its architecture' >&2; \
        echo 'into the project folder and build again.' >&2; \
        exit 1; \
    fi

FROM interpreter AS dependencies
ARG RUNTIME=acl
COPY requirements/dispatcher.txt requirements/operations.txt requirements/onnx.txt /build/requirements/
WORKDIR /build/requirements
RUN set -eu; \
    if [ "${RUNTIME}" = acl ]; then rm onnx.txt; fi; \
    /build/pip-python /build/layers.py dependencies --into /layer-dependencies/opt/gw/lib -- *.txt

FROM interpreter AS code
ARG PACKAGES="pipeline egress omfile acllite dispatcher operations gw"
COPY . /source/
# hadolint ignore=SC2086
RUN /build/pip-python /build/layers.py code --source /source --into /layer-code/app ${PACKAGES}; \
    install -D -m 0755 /source/deploy/dispatcher-entrypoint.sh /layer-code/opt/gw/bin/entrypoint

# hadolint ignore=DL3006
FROM ${BASE}
USER 0:0
RUN mkdir -p /data /run/gw /app/gwproc && chown 1000:1000 /data /run/gw && chmod 0750 /run/gw
COPY --from=interpreter /layer/ /
COPY --from=dependencies /layer-dependencies/ /
COPY --from=code /layer-code/ /
# Where CANN's run-time (nnrt) and development (ascend-toolkit) packages keep pyACL.
ARG RUNTIME=acl
ENV PATH=/opt/gw/bin:${PATH} \
    PYTHONPATH=/app:/opt/gw/lib:/usr/local/Ascend/nnrt/latest/python/site-packages:/usr/local/Ascend/nnrt/latest/pyACL/python/site-packages/acl:/usr/local/Ascend/ascend-toolkit/latest/python/site-packages \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GW_DATA_DIR=/data \
    GW_MODELS_DIR=/app/gwproc \
    GW_RUNTIME=${RUNTIME} \
    GW_HEARTBEAT_FILE=/tmp/heartbeat.json
WORKDIR /app
USER 1000:1000
STOPSIGNAL SIGTERM
# Large OM files take minutes to load.
HEALTHCHECK --interval=5s --timeout=5s --start-period=600s --retries=3 \
    CMD ["/opt/gw/bin/python", "-S", "-m", "pipeline.healthcheck"]
ENTRYPOINT ["/opt/gw/bin/entrypoint"]
CMD ["/opt/gw/bin/python", "-m", "dispatcher"]

ARG BASE
ARG BASE_DIGEST=""
ARG VERSION=dev
ARG REVISION=""
ARG CREATED=""
ARG SOURCE=""
LABEL org.opencontainers.image.title="gw/dispatcher" \
      org.opencontainers.image.description="gw: batches pictures onto the device (${RUNTIME})" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}" \
      gw.run="docker compose -f docker-compose.yaml -f deploy/compose.ascend.yaml up --detach --wait"
