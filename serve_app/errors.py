"""Every failure the service can report, as one tree.

    RerankError                      500 internal_error
    ├─ ConfigurationError            a wrong file or setting, found at start; never reaches a client
    ├─ InvalidRequest                422 invalid_request
    │  ├─ MalformedBody              400 invalid_json
    │  ├─ BodyTooLarge               413 body_too_large
    │  ├─ TooManyDocuments           422 too_many_documents
    │  └─ InputTooLong               422 input_too_long
    ├─ Unauthenticated               401 invalid_api_key
    ├─ BudgetExceeded                402 budget_exceeded
    ├─ Forbidden                     403 permission_denied
    ├─ UnknownModel                  404 model_not_found
    ├─ NoSuchRoute                   404 route_not_found
    ├─ NoSuchPath                    404 not_found
    ├─ WrongMethod                   405 method_not_allowed
    ├─ RoutesChanged                 409 routes_changed
    ├─ NotReady                      503 not_ready
    ├─ NoneFits                      503 no_variant_fits
    ├─ WeightsUnavailable            503 weights_unavailable
    ├─ WeightsInvalid                503 weights_invalid
    ├─ ScorerLost                    503 scorer_lost
    ├─ UsageUnavailable              503 usage_unavailable
    ├─ RoutesUnavailable             503 routes_unavailable
    ├─ RetryLater                    429 retry_later
    │  ├─ RateLimited                429 rate_limited
    │  └─ Overloaded                 429 overloaded
    ├─ DeadlineExceeded              504 deadline_exceeded
    └─ EngineFailure                 500 engine_failure

A message is one or two sentences that name the thing and the way out. It is shown to clients, so it never
holds a path of the server, a pid, an address or a secret; what only an operator may read goes to the log.
"""

from typing import ClassVar

RETRY_AFTER_S = 1.0
"""When to come back where nobody knows better."""
SERVER_FAULT = 500
"""The first status that is not the request's own fault."""
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


class InputTooLong(InvalidRequest):
    """A text is longer than the model reads, and the caller wants no text cut."""

    code = "input_too_long"


class Unauthenticated(RerankError):
    """No API key, or none that is valid now: unknown, wrong, revoked, expired."""

    status = 401
    code = "invalid_api_key"
    type = "authentication_error"


class BudgetExceeded(RerankError):
    """The key has spent what it may spend this month."""

    status = 402
    code = "budget_exceeded"
    type = "billing_error"


class Forbidden(RerankError):
    """The key is valid, and may not do this."""

    status = 403
    code = "permission_denied"
    type = "permission_error"


class UnknownModel(RerankError):
    """No variant, alias or tier of that name."""

    status = 404
    code = "model_not_found"
    type = "invalid_request_error"


class NoSuchRoute(RerankError):
    """No route of that name."""

    status = 404
    code = "route_not_found"
    type = "invalid_request_error"


class RoutesChanged(RerankError):
    """The routes are not any more what the caller saw when it made its change."""

    status = 409
    code = "routes_changed"
    type = "invalid_request_error"


class NoSuchPath(RerankError):
    """Nothing is served there."""

    status = 404
    code = "not_found"
    type = "invalid_request_error"


class WrongMethod(RerankError):
    """Something is served there, by another HTTP method."""

    status = 405
    code = "method_not_allowed"
    type = "invalid_request_error"


class NotReady(RerankError):
    """The default route cannot answer yet."""

    status = 503
    code = "not_ready"


class NoneFits(RerankError):
    """No variant is predicted to answer within what the caller sets, who wants nothing else."""

    status = 503
    code = "no_variant_fits"


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


class UsageUnavailable(RerankError):
    """What was used cannot be read or written now. Requests are answered all the same, and counted later."""

    status = 503
    code = "usage_unavailable"


class RoutesUnavailable(RerankError):
    """What holds the routes does not answer now. Requests are answered by the routes as they were."""

    status = 503
    code = "routes_unavailable"


class RetryLater(RerankError):
    """Not now: the same request may be answered in `retry_after_s` seconds."""

    status = 429
    code = "retry_later"
    type = "rate_limit_error"

    def __init__(self, message: str, param: str | None = None, retry_after_s: float = RETRY_AFTER_S) -> None:
        super().__init__(message, param)
        self.args = (message, param, retry_after_s)  # what unpickling calls the class with
        self.retry_after_s = retry_after_s


class RateLimited(RetryLater):
    """The key has had what it may have in a minute, or at once."""

    code = "rate_limited"


class Overloaded(RetryLater):
    """Too much waits already: it could not be answered in time, or not be held."""

    code = "overloaded"


class DeadlineExceeded(RerankError):
    """The answer was not ready in time; what was left of the work was dropped."""

    status = 504
    code = "deadline_exceeded"


class EngineFailure(RerankError):
    """The device failed, or returned scores that are not finite."""

    code = "engine_failure"
