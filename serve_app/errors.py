"""Every failure the service can report, as one tree.

    RerankError                      500 internal_error
    ├─ ConfigurationError            a wrong file or setting, found at start; never reaches a client
    ├─ InvalidRequest                422 invalid_request
    │  ├─ MalformedBody              400 invalid_json
    │  ├─ BodyTooLarge               413 body_too_large
    │  └─ TooManyDocuments           422 too_many_documents
    ├─ UnknownModel                  404 model_not_found
    ├─ NotReady                      503 not_ready
    ├─ WeightsUnavailable            503 weights_unavailable
    ├─ WeightsInvalid                503 weights_invalid
    ├─ ScorerLost                    503 scorer_lost
    ├─ Overloaded                    429 overloaded
    ├─ DeadlineExceeded              504 deadline_exceeded
    └─ EngineFailure                 500 engine_failure

A message is one or two sentences that name the thing and the way out. It is shown to clients, so it never
holds a path of the server, a pid, an address or a secret; what only an operator may read goes to the log.
"""

from typing import ClassVar

MESSAGE_LIMIT = 1_000
"""Characters of a message that are kept: a request must not get back the 10 kB that it sent."""


class RerankError(Exception):
    """Base of the tree: `message` for the client, `param` the field of the request it is about."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    type: ClassVar[str] = "server_error"

    def __init__(self, message: str, param: str | None = None) -> None:
        # All arguments go to super().__init__: an exception that keeps some back is unpickled as
        # another type when it crosses Ray.
        super().__init__(message, param)
        self.message = message[:MESSAGE_LIMIT]
        self.param = param

    def __str__(self) -> str:
        return self.message


class ConfigurationError(RerankError):
    """A catalog, setting or command line that cannot work; the process ends with this sentence."""

    code = "configuration_error"


class InvalidRequest(RerankError):
    """The request is understood and cannot be served as it is; `param` names the field."""

    status = 422
    code = "invalid_request"
    type = "invalid_request_error"


class MalformedBody(InvalidRequest):
    """The body is not JSON (RFC 8259): a syntax error, NaN, a lone surrogate, not UTF-8."""

    status = 400
    code = "invalid_json"


class BodyTooLarge(InvalidRequest):
    """The body is larger than the limit; it was not parsed."""

    status = 413
    code = "body_too_large"


class TooManyDocuments(InvalidRequest):
    """More documents than one request may hold."""

    code = "too_many_documents"


class UnknownModel(RerankError):
    """No variant, alias or tier of that name."""

    status = 404
    code = "model_not_found"
    type = "invalid_request_error"


class NotReady(RerankError):
    """The default route cannot answer yet."""

    status = 503
    code = "not_ready"


class WeightsUnavailable(RerankError):
    """The variant is in the catalog and its weights cannot be had on this machine."""

    status = 503
    code = "weights_unavailable"


class WeightsInvalid(RerankError):
    """Files were found, and they are not the weights of this variant."""

    status = 503
    code = "weights_invalid"


class ScorerLost(RerankError):
    """The replica died while it scored, and so did the one that was tried next."""

    status = 503
    code = "scorer_lost"


class Overloaded(RerankError):
    """The variant's queue is full; the client may try again in a second."""

    status = 429
    code = "overloaded"
    type = "rate_limit_error"


class DeadlineExceeded(RerankError):
    """The answer was not ready in time; what was left of the work was dropped."""

    status = 504
    code = "deadline_exceeded"


class EngineFailure(RerankError):
    """The device failed, or returned scores that are not finite."""

    code = "engine_failure"
