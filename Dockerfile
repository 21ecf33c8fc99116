# post3, with nothing in it but what serves. Its own PostgreSQL is left out: give it DATABASE_URL, as compose.yaml does, or
# say --backend fs. The container may run with a read-only root file system and any user; /data is the only place it writes.
FROM python:3.13-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY . /src
RUN python -m venv /opt/post3 && /opt/post3/bin/pip install --no-cache-dir /src

FROM python:3.13-slim
COPY --from=build /opt/post3 /opt/post3
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin post3 && mkdir /data && chown post3:post3 /data
ENV PATH=/opt/post3/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    POST3_HOST=0.0.0.0:9000 \
    POST3_DATA_DIR=/data
USER post3
WORKDIR /data
VOLUME /data
EXPOSE 9000
# Listens beyond the container only when it is told to: POST3_ALLOW_ANONYMOUS=1, as in compose.yaml.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen(r.Request('http://127.0.0.1:9000/', headers={'Host': 'localhost'}), timeout=4)"]
ENTRYPOINT ["post3"]
CMD ["serve"]
