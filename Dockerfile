# docker build -t bounced . ; how to run it: docs/running.md, or compose.yaml with a Redis and a Prometheus.
# Debian, not Alpine: the embedded store is built for glibc.

FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock .
RUN python -m venv /opt/bounced \
    && /opt/bounced/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY tools tools
COPY docs docs
COPY config config
COPY systemd systemd
COPY bounced bounced
RUN /opt/bounced/bin/pip install --no-cache-dir --no-deps . \
    && /opt/bounced/bin/pip uninstall --yes pip \
    && rm -rf /opt/bounced/share

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="bounced" \
      org.opencontainers.image.description="The mail server behind your return path" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --system --uid 10001 --home-dir /var/lib/bounced --shell /usr/sbin/nologin bounced \
    && install -d -o bounced -g bounced -m 700 /var/lib/bounced
COPY --from=build /opt/bounced /opt/bounced
# No capability is needed for 2525; publish it as 25. What is logged goes to stdout, so nothing is buffered.
ENV PATH=/opt/bounced/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    STATE_DIRECTORY=/var/lib/bounced \
    BOUNCED_SMTP__LISTEN=0.0.0.0:2525
USER 10001
VOLUME /var/lib/bounced
EXPOSE 2525
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as http; http.urlopen('http://127.0.0.1:9325/healthz', timeout=5)"]
ENTRYPOINT ["bounced"]
CMD ["serve"]
