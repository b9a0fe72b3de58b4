"""Passwords that IAM signs (docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html)."""

from typing import TYPE_CHECKING

from botocore.signers import generate_db_auth_token

from reservations.adapters.mysql.address import Address

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


def iam_token(signer: "SSMClient", address: Address) -> str:
    """Sign a password that opens connections for 15 minutes. No request is made.

    Any boto3 client can sign. Reusing SSM's avoids loading the RDS model at cold start.
    """
    return str(generate_db_auth_token(signer, address.host, address.port, address.user))
