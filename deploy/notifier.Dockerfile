# gw/notifier: announces the ends of jobs as signed webhooks.
# Three layers, by how often they change: base, dependencies, code.
ARG BASE=python:3.11-alpine

# hadolint ignore=DL3006
FROM ${BASE} AS dependencies
COPY deploy/elf.py deploy/layers.py /build/
COPY requirements/notifier.txt /build/requirements/
RUN ["python", "/build/layers.py", "dependencies", "--into", "/layer/opt/gw/lib", "notifier.txt"]

# hadolint ignore=DL3006
FROM ${BASE} AS code
ARG PACKAGES="pipeline egress notifier"
COPY . /build/
# hadolint ignore=SC2086
RUN python /build/deploy/layers.py code --into /layer/app ${PACKAGES}

# hadolint ignore=DL3006
FROM ${BASE}
COPY --from=dependencies /layer/ /
COPY --from=code /layer/ /
ENV PYTHONPATH=/app:/opt/gw/lib \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GW_HEARTBEAT_FILE=/tmp/heartbeat.json
WORKDIR /app
USER 1000:1000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-S", "-m", "pipeline.healthcheck"]
CMD ["python", "-m", "notifier"]

ARG BASE
ARG BASE_DIGEST=""
ARG VERSION=dev
ARG REVISION=""
ARG CREATED=""
ARG SOURCE=""
LABEL org.opencontainers.image.title="gw/notifier" \
      org.opencontainers.image.description="gw: announces the ends of jobs as signed webhooks" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}" \
      gw.run="docker run --detach --init --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --restart unless-stopped --stop-timeout 30 --env GW_REDIS_URL=redis://HOST:6379/0 gw/notifier:${VERSION}"
