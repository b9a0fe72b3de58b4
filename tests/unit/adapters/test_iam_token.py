"""The password signed for IAM login, checked as by RDS: a presigned request without its scheme."""

from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from reservations.adapters.mysql.address import Address
from reservations.adapters.mysql.iam import iam_token

PROXY = "reservations.proxy-abc.eu-west-1.rds.amazonaws.com"


@pytest.mark.parametrize(("port", "expected"), [("", 3306), (":3307", 3307)])
def test_a_token_names_the_user_the_host_and_its_lifetime(port: str, expected: int) -> None:
    signer = boto3.client(
        "ssm",
        region_name="eu-west-1",
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="not-a-secret",
    )

    token = iam_token(
        signer, Address.of(f"mysql+pymysql://reservations@{PROXY}{port}/reservations")
    )

    parts = urlsplit(f"https://{token}")
    query = parse_qs(parts.query)
    assert (parts.hostname, parts.port) == (PROXY, expected)
    assert (query["Action"], query["DBUser"]) == (["connect"], ["reservations"])
    assert query["X-Amz-Expires"] == ["900"]
    assert query["X-Amz-Credential"][0].endswith("/eu-west-1/rds-db/aws4_request")
