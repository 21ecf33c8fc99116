"""What botocore raises, as the SDK's errors."""

from __future__ import annotations

from typing import Any

from botocore import exceptions as botocore

from post3.client.errors import ClientError, Damaged, InvalidArgument, Unreachable, s3_error
from post3.client.steps import Call

_NO_ANSWER = (
    botocore.HTTPClientError,
    botocore.ConnectionError,
    botocore.IncompleteReadError,
    botocore.ResponseStreamingError,
)
_WRONG = (
    botocore.ParamValidationError,
    botocore.NoCredentialsError,
    botocore.PartialCredentialsError,
    botocore.CredentialRetrievalError,
)


def translated(error: Exception, call: Call, endpoint: str) -> Exception:
    """The SDK's error for one of botocore's, raised by that call; anything else is itself."""
    about = call.about(endpoint)
    if isinstance(error, botocore.ClientError):
        return _refusal(error.response, about)
    if isinstance(error, botocore.FlexibleChecksumError):
        return Damaged(f"{about}: the bytes do not match the object's checksum ({error})")
    if isinstance(error, _NO_ANSWER):
        return Unreachable(f"{about}: no answer, or only half of one ({error})")
    if isinstance(error, _WRONG):
        return InvalidArgument(_complaint(error, call, about))
    if isinstance(error, botocore.BotoCoreError):
        return ClientError(f"{about}: {error}")
    return error


def _refusal(response: Any, about: str) -> Exception:
    told, metadata = response.get("Error", {}), response.get("ResponseMetadata", {})
    return s3_error(
        told.get("Code", "InternalError"),
        told.get("Message", ""),
        metadata.get("HTTPStatusCode", 0),
        metadata.get("RequestId"),
        about,
    )


def _complaint(error: Exception, call: Call, about: str) -> str:
    if "Invalid bucket name" in str(error):
        return f"{call.parameters['Bucket']!r} is no bucket's name: that is 3 to 63 of a-z, 0-9, dots and hyphens."
    return f"{about}: {' '.join(str(error).split())}"
