"""Files in a bucket of an S3 API. Browsers send and fetch them there, with addresses we sign.

Imported with the first file only: boto3 takes a fifth of a second that no command should wait for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.base import File
from django.utils.translation import gettext as _

from attachments.kinds import UNKNOWN
from attachments.names import disposition
from attachments.storage import CHUNK_BYTES, FORM_SECONDS, LINK_SECONDS, Form, Place
from helpdesk.lib.errors import Refused

if TYPE_CHECKING:
    from boto3.session import Session
    from django.core.files.storage import Storage
    from types_boto3_s3 import S3Client, S3ServiceResource

    class S3Storage(Storage):
        """What we use of it; it is published without types."""

        bucket_name: str
        region_name: str
        endpoint_url: str
        client_config: Config

        def __init__(self, *, client_config: Config, **options: Any) -> None: ...
        def get_default_settings(self) -> dict[str, Any]: ...
        def _create_session(self) -> Session: ...
else:
    from storages.backends.s3 import S3Storage

CONNECT_SECONDS = 3
ANSWER_SECONDS = 20  # between two bytes, not for all of them
TRIES = 3
CONNECTIONS = 32  # kept open for the threads of a process


class Bucket(Place, S3Storage):
    """django-storages' S3, with one client a process, and addresses that browsers can reach.

    `public_endpoint_url` is what a browser calls the endpoint: the host is part of what is signed.
    """

    public_endpoint_url: str

    def __init__(self, *, addressing_style: Literal["path", "virtual"], **options: Any) -> None:
        config = Config(
            signature_version="s3v4",
            s3={"addressing_style": addressing_style},
            connect_timeout=CONNECT_SECONDS,
            read_timeout=ANSWER_SECONDS,
            retries={"mode": "standard", "total_max_attempts": TRIES},
            max_pool_connections=CONNECTIONS,
            # Sums that Amazon's own S3 understands and others refuse; we keep a sha256 ourselves.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        super().__init__(client_config=config, **options)

    def get_default_settings(self) -> dict[str, Any]:
        return {**super().get_default_settings(), "public_endpoint_url": ""}

    @cached_property
    def connection(self) -> S3ServiceResource:
        """What django-storages does by itself goes this way, too; it would make one a thread."""
        return self._create_session().resource(
            "s3",
            region_name=self.region_name,
            endpoint_url=self.endpoint_url,
            config=self.client_config,
        )

    @property
    def _client(self) -> S3Client:
        return self.connection.meta.client

    @cached_property
    def _signer(self) -> S3Client:
        """Signs addresses for browsers, and connects to nothing."""
        return self._create_session().client(
            "s3",
            region_name=self.region_name,
            endpoint_url=self.public_endpoint_url,
            config=self.client_config,
        )

    def _save(self, name: str, content: File[bytes]) -> str:
        with _as_os_errors(name):
            self._client.put_object(
                Bucket=self.bucket_name, Key=name, Body=content.read(), ContentType=UNKNOWN
            )
        return name

    def delete(self, name: str) -> None:
        with _as_os_errors(name):
            self._client.delete_object(Bucket=self.bucket_name, Key=name)

    def size(self, name: str) -> int:
        with _as_os_errors(name):
            return self._client.head_object(Bucket=self.bucket_name, Key=name)["ContentLength"]

    def read(self, key: str, start: int, end: int) -> Iterator[bytes]:
        # There is no way to ask for no bytes, nor for some that lie behind the last.
        end = min(end, self.size(key))
        if start >= end:
            return
        with _as_os_errors(key):
            answer = self._client.get_object(
                Bucket=self.bucket_name, Key=key, Range=f"bytes={start}-{end - 1}"
            )
            with closing(answer["Body"]) as body:
                while piece := body.read(CHUNK_BYTES):
                    yield piece

    def append(self, key: str, offset: int, piece: Iterable[bytes]) -> int:
        raise Refused(_("Files are not taken in pieces here. Attach it again."))

    def move(self, key: str, to: str) -> None:
        try:
            self.size(to)
        except FileNotFoundError:
            with _as_os_errors(key):
                self._client.copy_object(
                    Bucket=self.bucket_name,
                    Key=to,
                    CopySource={"Bucket": self.bucket_name, "Key": key},
                )
        self.delete(key)

    def upload_form(self, key: str, size_bytes: int) -> Form | None:
        with _as_os_errors(key):
            form = self._signer.generate_presigned_post(
                self.bucket_name,
                key,
                Fields={"Content-Type": UNKNOWN},
                Conditions=[
                    {"Content-Type": UNKNOWN},
                    ["content-length-range", size_bytes, size_bytes],
                ],
                ExpiresIn=FORM_SECONDS,
            )
        return Form(form["url"], form["fields"])

    def public_url(self, key: str, *, name: str, media_type: str, shown: bool) -> str | None:
        with _as_os_errors(key):
            return self._signer.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self.bucket_name,
                    "Key": key,
                    "ResponseContentType": media_type if shown else UNKNOWN,
                    "ResponseContentDisposition": disposition(name, shown=shown),
                    "ResponseCacheControl": f"private, max-age={LINK_SECONDS}",
                },
                ExpiresIn=LINK_SECONDS,
            )

    def keys(self, prefix: str) -> Iterator[tuple[str, int, datetime]]:
        pages = self._client.get_paginator("list_objects_v2")
        with _as_os_errors(prefix):
            for page in pages.paginate(Bucket=self.bucket_name, Prefix=prefix):
                for found in page.get("Contents", ()):
                    yield found["Key"], found["Size"], found["LastModified"]


@contextmanager
def _as_os_errors(key: str) -> Iterator[None]:
    """What goes wrong as a folder would say it."""
    try:
        yield
    except ClientError as error:
        # A HEAD has no body to say more; "NoSuchBucket" is a fault of the settings.
        if error.response["Error"]["Code"] in {"404", "NoSuchKey"}:
            raise FileNotFoundError(key) from error
        raise OSError(str(error)) from error
    except BotoCoreError as error:
        raise OSError(str(error)) from error
