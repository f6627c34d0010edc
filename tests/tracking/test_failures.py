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


@pytest.mark.parametrize(
    ("answer", "told", "remedy"),
    [
        (
            "API request to x failed with error code 401 != 200",
            "does not know this user",
            "MLFLOW_TRACKING_PASSWORD",
        ),
        (
            "PERMISSION_DENIED: Permission denied",
            "does not let this user write",
            "another name for the study",
        ),
        ("(Caused by ResponseError('too many 500 error responses'))", "its log says", "`howdeep sync` adds"),
        ("(Caused by ProtocolError('Connection aborted.', Reset))", "its log says", "`howdeep sync` adds"),
        ("Response: {'error_code': 'INTERNAL'}", "INTERNAL", "`howdeep sync` adds"),
    ],
)
def test_a_server_with_passwords_that_refuses_is_told_with_what_to_do(answer, told, remedy):
    error = OSError(answer)
    assert told in failures.reason(error, "http://host")
    assert remedy in failures.remedy(error, "http://host")
