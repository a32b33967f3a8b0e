# docker build -t bounced . && docker run -p 25:2525 -v bounced:/var/lib/bounced \
#   -e BOUNCED_RETURN_PATH_DOMAINS=bounces.example.com bounced
# Debian, not Alpine: the embedded store is built for glibc.

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock .
RUN python -m venv /opt/bounced \
    && /opt/bounced/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY bounced bounced
RUN /opt/bounced/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/bounced --create-home --shell /usr/sbin/nologin bounced
COPY --from=build /opt/bounced /opt/bounced
ENV PATH=/opt/bounced/bin:$PATH \
    STATE_DIRECTORY=/var/lib/bounced \
    BOUNCED_SMTP__LISTEN=0.0.0.0:2525
USER bounced
VOLUME /var/lib/bounced
EXPOSE 2525
STOPSIGNAL SIGTERM
ENTRYPOINT ["bounced"]
CMD ["serve"]
