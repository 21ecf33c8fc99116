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
# It serves beyond the container only with keys, such as POST3_ACCESS_KEY and POST3_SECRET_KEY, as in compose.yaml, or when
# POST3_ALLOW_ANONYMOUS=1 lets everybody in. Another address is told by POST3_HOST, where the health check finds it too:
# any answer below 500 is health, also that strangers get nothing.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import http.client as h, ssl, post3.config as c; s = c.Settings.load(); a = ('127.0.0.1', s.port); k = h.HTTPSConnection(*a, timeout=4, context=ssl._create_unverified_context()) if s.tls_cert else h.HTTPConnection(*a, timeout=4); k.request('GET', '/', headers={'Host': 'localhost'}); exit(k.getresponse().status >= 500)"]
ENTRYPOINT ["post3"]
CMD ["serve"]
