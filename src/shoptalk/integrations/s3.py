"""Amazon S3, and what speaks like it, by `aws`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shoptalk.core.errors import ObjectStoreError, ObjectStoreUnreachableError
from shoptalk.core.protocols import Object
from shoptalk.integrations import aws

TIMEOUT_S = 20
ATTEMPTS = 4
"""Of boto3's, for each request."""
SCHEME = "s3://"
REFUSALS = frozenset(range(400, 500)) - {408, 429}
"""Statuses that stay as they are if one tries again."""


class S3:
    """An `ObjectStore`."""

    def __init__(self) -> None:
        """`MissingToolError` where boto3 is not installed, `ObjectStoreError` where no region is known."""
        self._client = aws.client("s3", timeout_s=TIMEOUT_S, attempts=ATTEMPTS, extra="store", error=ObjectStoreError)

    def listed(self, address: str, most: int) -> list[Object]:
        bucket, key = _parts(address)
        if not address.endswith("/"):
            return self._single(bucket, key)
        found: list[Object] = []
        with _named():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
            for page in pages:
                for item in page.get("Contents", []):
                    if not item["Key"].endswith("/"):
                        found.append(Object(f"{SCHEME}{bucket}/{item['Key']}", item["Size"]))
                if len(found) >= most:
                    break
        return found[:most]

    def read(self, address: str, most_bytes: int) -> bytes:
        bucket, key = _parts(address)
        with _named():
            body = self._client.get_object(Bucket=bucket, Key=key)["Body"]
            with body:
                return bytes(body.read(most_bytes + 1))

    def write(self, address: str, content: bytes, media_type: str) -> None:
        bucket, key = _parts(address)
        with _named():
            self._client.put_object(Bucket=bucket, Key=key, Body=content, ContentType=media_type)

    def _single(self, bucket: str, key: str) -> list[Object]:
        refusal, _ = aws.errors()
        with _named():
            try:
                head = self._client.head_object(Bucket=bucket, Key=key)
            except refusal as error:
                if _status(error) == 404:
                    return []
                raise
        return [Object(f"{SCHEME}{bucket}/{key}", head["ContentLength"])]


def _parts(address: str) -> tuple[str, str]:
    bucket, _, key = address.removeprefix(SCHEME).partition("/")
    return bucket, key


@contextmanager
def _named() -> Iterator[None]:
    """What goes wrong, without the key that boto3 tells."""
    refusal, trouble = aws.errors()
    try:
        yield
    except refusal as error:
        status = _status(error)
        if status in REFUSALS:
            raise ObjectStoreError(f"S3 refuses it (status {status})") from None
        raise ObjectStoreUnreachableError(f"S3 does not answer (status {status})") from None
    except (trouble, OSError) as error:
        raise ObjectStoreUnreachableError(f"S3 does not answer ({type(error).__name__})") from None


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
