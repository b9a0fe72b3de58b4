"""Passwords that IAM signs (docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html)."""

from typing import TYPE_CHECKING

from botocore.signers import generate_db_auth_token
from sqlalchemy import URL

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

_PORT = 3306


def iam_token(signer: "SSMClient", address: URL) -> str:
    """Sign a password that opens connections for 15 minutes; no request is made.

    Any client signs alike, and this one is there; that of RDS would cost each cold start its model.
    """
    return str(
        generate_db_auth_token(signer, address.host, address.port or _PORT, address.username)
    )
