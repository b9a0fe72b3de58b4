"""Keeps documents in a private S3 bucket."""

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from reservations.application.ports import DocumentStore
from reservations.domain.errors import DocumentStoreUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Storing the same bytes again is harmless, so the SDK may retry. Links are signed by version 4.
S3_CONFIG = Config(
    connect_timeout=1,
    read_timeout=5,
    retries={"total_max_attempts": 3, "mode": "standard"},
    signature_version="s3v4",
)

# Short timeouts, for callers that can retry later and have other work in the same run.
S3_BRIEF_CONFIG = S3_CONFIG.merge(Config(read_timeout=3, retries={"total_max_attempts": 1}))

_PDF = "application/pdf"
_ABSENT = {"404", "NoSuchKey"}  # HEAD has no body, so there the code is the status


class S3DocumentStore(DocumentStore):
    """Objects are private; encryption at rest is the bucket's default.

    The role needs `s3:ListBucket`: without it S3 answers 403, not 404, for an absent object.
    """

    def __init__(self, s3: "S3Client", *, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def put(self, key: str, content: bytes) -> None:
        try:
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=content, ContentType=_PDF)
        except (BotoCoreError, ClientError) as error:
            raise DocumentStoreUnavailableError("not known to be stored") from error

    def get(self, key: str) -> bytes | None:
        try:
            return self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as error:
            if _absent(error):
                return None
            raise DocumentStoreUnavailableError("not read") from error
        except BotoCoreError as error:
            raise DocumentStoreUnavailableError("not read") from error

    def exists(self, key: str) -> bool:
        try:
            self._s3.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if _absent(error):
                return False
            raise DocumentStoreUnavailableError("not known to exist") from error
        except BotoCoreError as error:
            raise DocumentStoreUnavailableError("not known to exist") from error
        return True

    def delete(self, key: str) -> None:
        try:
            self._s3.delete_object(Bucket=self._bucket, Key=key)
        except (BotoCoreError, ClientError) as error:
            raise DocumentStoreUnavailableError("not known to be deleted") from error

    def link(
        self,
        key: str,
        *,
        filename: str,
        lifetime: timedelta,
        head: bool = False,
        inline: bool = False,
    ) -> str:
        """Sign a link without a request to S3. It works if the object exists when it is followed."""
        # RFC 6266 §4.3: the encoded form, in which no name can end the parameter.
        kind = "inline" if inline else "attachment"
        disposition = f"{kind}; filename*=UTF-8''{quote(filename, safe='')}"
        try:
            return self._s3.generate_presigned_url(
                "head_object" if head else "get_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": key,
                    "ResponseContentDisposition": disposition,
                },
                ExpiresIn=int(lifetime.total_seconds()),
            )
        except BotoCoreError as error:
            raise DocumentStoreUnavailableError("no link could be signed") from error


def _absent(error: ClientError) -> bool:
    return error.response["Error"]["Code"] in _ABSENT
