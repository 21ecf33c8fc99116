"""Every S3 error: the class name is the code, the docstring is the message.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

from typing import ClassVar


class S3Error(Exception):
    """An error as an S3 client sees it: a code, a status, a message, and details that become XML elements."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "S3Error"

    def __init_subclass__(cls, status: int = 400, code: str | None = None, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        cls.status = status
        cls.code = code or cls.__name__

    def __init__(self, message: str | None = None, *, headers: dict[str, str] | None = None, **details: object) -> None:
        self.message = message if message is not None else (type(self).__doc__ or "").strip()
        self.headers = headers or {}
        self.details = {name: str(value) for name, value in details.items() if value is not None}
        super().__init__(self.message)

    def __str__(self) -> str:
        told = "".join(f" {name}={value!r}" for name, value in self.details.items())
        return f"{self.code}: {self.message}{told}"


class AccessControlListNotSupported(S3Error):
    """The bucket does not allow ACLs"""


class AccessDenied(S3Error, status=403):
    """Access Denied"""


class AccessForbidden(S3Error, status=403):
    """CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method \
/ Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."""


class AuthorizationHeaderMalformed(S3Error):
    """The authorization header you provided is invalid."""


class AuthorizationQueryParametersError(S3Error):
    """The authorization query parameters you provided are invalid."""


class BadDigest(S3Error):
    """The Content-MD5 or checksum value that you specified did not match what the server received."""


class BadRequest(S3Error):
    """Insufficient information. Origin request header needed."""


class BucketAlreadyExists(S3Error, status=409):
    """The requested bucket name is not available. Select a different name and try again."""


class BucketAlreadyOwnedByYou(S3Error, status=409):
    """The bucket that you tried to create already exists, and you own it."""


class BucketNotEmpty(S3Error, status=409):
    """The bucket that you tried to delete is not empty."""


class ConditionalRequestConflict(S3Error, status=409):
    """The conditional request cannot succeed because of a conflicting operation against this resource."""


class EncryptionNotConfigured(S3Error, status=501, code="NotImplemented"):
    """This server has no master key to encrypt with; set POST3_MASTER_KEY or --master-keys (POST3_MASTER_KEYS)."""


class EntityTooLarge(S3Error):
    """Your proposed upload exceeds the maximum allowed object size."""


class EntityTooSmall(S3Error):
    """Your proposed upload is smaller than the minimum allowed object size."""


class IllegalVersioningConfigurationException(S3Error):
    """The versioning configuration specified in the request is invalid."""


class IncompleteBody(S3Error):
    """You did not provide the number of bytes specified by the Content-Length HTTP header."""


class IncorrectNumberOfFilesInPostRequest(S3Error):
    """POST requires exactly one file upload per request."""


class InternalError(S3Error, status=500):
    """An internal error occurred. Try again."""


class InvalidAccessKeyId(S3Error, status=403):
    """The AWS Access Key Id you provided does not exist in our records."""


class InvalidArgument(S3Error):
    """Invalid Argument"""


class InvalidBucketAclWithObjectOwnership(S3Error):
    """Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"""


class InvalidBucketName(S3Error):
    """The specified bucket is not valid."""


class InvalidChunkSizeError(S3Error, status=403):
    """Only the last chunk is allowed to have a size less than 8192 bytes"""


class InvalidDigest(S3Error):
    """The Content-MD5 or checksum value that you specified is not valid."""


class InvalidLocationConstraint(S3Error):
    """The specified location constraint is not valid."""


class InvalidPart(S3Error):
    """One or more of the specified parts could not be found. The part might not have been uploaded, or the specified \
entity tag might not have matched the part's entity tag."""


class InvalidPartNumber(S3Error, status=416):
    """The requested partnumber is not satisfiable"""


class InvalidPartOrder(S3Error):
    """The list of parts was not in ascending order. Parts must be ordered by part number."""


class InvalidPolicyDocument(S3Error):
    """The content of the form does not meet the conditions specified in the policy document."""


class InvalidRange(S3Error, status=416):
    """The requested range is not satisfiable"""


class InvalidRequest(S3Error):
    """Invalid Request"""


class InvalidStorageClass(S3Error):
    """The storage class you specified is not valid"""


class InvalidTag(S3Error):
    """The tag provided was not a valid tag. This error can occur if the tag did not pass input validation."""


class InvalidToken(S3Error):
    """The provided token is malformed or otherwise not valid."""


class InvalidURI(S3Error):
    """The specified URI couldn't be parsed."""


class KMSNotFoundException(S3Error, code="KMS.NotFoundException"):
    """There is no master key of that name."""


class KeyTooLongError(S3Error):
    """Your key is too long."""


class MalformedACLError(S3Error):
    """The XML you provided was not well-formed or did not validate against our published schema"""


class MalformedPOSTRequest(S3Error):
    """The body of your POST request is not well-formed multipart/form-data."""


class MalformedPolicy(S3Error):
    """This policy contains invalid Json"""


class MalformedTrailerError(S3Error):
    """The request contained trailing data that was not well-formed or did not conform to our published schema."""


class MalformedXML(S3Error):
    """The XML you provided was not well-formed or did not validate against our published schema"""


class MaxMessageLengthExceeded(S3Error):
    """Your request was too big."""


class MaxPostPreDataLengthExceededError(S3Error):
    """Your POST request fields preceding the upload file were too large."""


class MetadataTooLarge(S3Error):
    """Your metadata headers exceed the maximum allowed metadata size"""


class MethodNotAllowed(S3Error, status=405):
    """The specified method is not allowed against this resource."""


class MissingContentLength(S3Error, status=411):
    """You must provide the Content-Length HTTP header."""


class MissingSecurityHeader(S3Error):
    """Your request was missing a required header"""


class NoSuchBucket(S3Error, status=404):
    """The specified bucket does not exist"""


class NoSuchBucketPolicy(S3Error, status=404):
    """The bucket policy does not exist"""


class NoSuchCORSConfiguration(S3Error, status=404):
    """The CORS configuration does not exist"""


class NoSuchKey(S3Error, status=404):
    """The specified key does not exist."""


class NoSuchPublicAccessBlockConfiguration(S3Error, status=404):
    """The public access block configuration was not found"""


class NoSuchRecord(S3Error, status=404):
    """The specified record does not exist."""


class NoSuchTagSet(S3Error, status=404):
    """The TagSet does not exist"""


class NoSuchUpload(S3Error, status=404):
    """The specified multipart upload does not exist. The upload ID might be invalid, or the multipart upload might \
have been aborted or completed."""


class NoSuchVersion(S3Error, status=404):
    """The specified version does not exist."""


class NotFound(S3Error, status=404):
    """The requested resource does not exist."""


class NotModified(S3Error, status=304):
    """Not Modified"""


class OperationAborted(S3Error, status=409):
    """A conflicting conditional operation is currently in progress against this resource. Try again."""


class OperationNotImplemented(S3Error, status=501, code="NotImplemented"):
    """A header or query you provided implies functionality that is not implemented"""

    def __init__(self, **details: str) -> None:
        # Many clients show the message alone.
        told = ", ".join(details.values())
        super().__init__(f"{type(self).__doc__}{told and ': '}{told}", headers=None, **details)


class OwnershipControlsNotFoundError(S3Error, status=404):
    """The bucket ownership controls were not found"""


class PreconditionFailed(S3Error, status=412):
    """At least one of the preconditions you specified did not hold"""


class RequestHeaderSectionTooLarge(S3Error):
    """Your request header section exceeds the maximum allowed size."""


class RequestTimeTooSkewed(S3Error, status=403):
    """The difference between the request time and the current time is too large."""


class RequestTimeout(S3Error):
    """Your socket connection to the server was not read from or written to within the timeout period."""


class ServerSideEncryptionConfigurationNotFoundError(S3Error, status=404):
    """The server side encryption configuration was not found"""


class ServiceUnavailable(S3Error, status=503):
    """Service is unable to handle request."""


class SignatureDoesNotMatch(S3Error, status=403):
    """The request signature we calculated does not match the signature you provided. Check your key and signing \
method."""


class SlowDown(S3Error, status=503):
    """Please reduce your request rate."""


class StaleBucket(S3Error, status=409, code="OperationAborted"):
    """The bucket changed while the request was under way. Try again."""


class UnresolvableGrantByEmailAddress(S3Error):
    """The email address you provided does not match any account on record."""


class XAmzContentSHA256Mismatch(S3Error):
    """The provided 'x-amz-content-sha256' header does not match what was computed."""
