# gw/webapp: accepts work and answers questions. With `python -m operations` as its command it does
# long background work instead. Three layers, by how often they change: base, dependencies, code.
ARG BASE=python:3.11-alpine

# hadolint ignore=DL3006
FROM ${BASE} AS dependencies
COPY deploy/elf.py deploy/layers.py /build/
COPY requirements/webapp.txt requirements/operations.txt /build/requirements/
RUN ["python", "/build/layers.py", "dependencies", "--into", "/layer/opt/gw/lib", "webapp.txt", "operations.txt"]

# hadolint ignore=DL3006
FROM ${BASE} AS code
ARG PACKAGES="pipeline egress webapp operations gw"
COPY . /build/
# hadolint ignore=SC2086
RUN python /build/deploy/layers.py code --into /layer/app ${PACKAGES}

# hadolint ignore=DL3006
FROM ${BASE}
# Mount points that belong to the user of the service: a new volume takes their owner over.
RUN mkdir -p /data /run/gw /run/gw-server \
    && chown 1000:1000 /data /run/gw /run/gw-server \
    && chmod 0750 /run/gw /run/gw-server
COPY --from=dependencies /layer/ /
COPY --from=code /layer/ /
ENV PYTHONPATH=/app:/opt/gw/lib \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GW_DATA_DIR=/data \
    GW_HTTP_HOST=0.0.0.0 \
    GW_HEARTBEAT_FILE=/tmp/heartbeat.json
WORKDIR /app
USER 1000:1000
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-S", "-m", "pipeline.healthcheck", "http"]
CMD ["python", "-m", "webapp"]

ARG BASE
ARG BASE_DIGEST=""
ARG VERSION=dev
ARG REVISION=""
ARG CREATED=""
ARG SOURCE=""
LABEL org.opencontainers.image.title="gw/webapp" \
      org.opencontainers.image.description="gw: accepts pictures over HTTP and answers for their jobs" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}" \
      gw.run="docker run --detach --init --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --restart unless-stopped --stop-timeout 30 --publish 8080:8080 --volume gw_pictures:/data --env GW_REDIS_URL=redis://HOST:6379/0 gw/webapp:${VERSION}"
