"""What a person is told of MLflow's failures."""

import pytest

from howdeep.tracking import failures


@pytest.mark.parametrize(
    ("uri", "secrets"),
    [
        ("http://me:s3cr%2Ft@host", ("s3cr%2Ft", "s3cr/t")),
        ("http://me:a/s3cr@t@host", ("a/s3cr@t",)),
        ("mysql+pymysql://me:s3cr@host/db", ("s3cr",)),
        ("postgresql://host/db?user=me&password=s3cr%20t", ("s3cr%20t", "s3cr t")),
        ("https://host/?access_token=s3cr", ("s3cr",)),
    ],
)
def test_no_password_stands_in_a_reason(uri, secrets):
    for words in (uri, f"GET {uri}/api failed", *(f"login as me with {secret} failed" for secret in secrets)):
        assert "s3cr" not in failures.told(OSError(words), uri)
