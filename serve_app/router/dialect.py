"""What a dialect is: how a body is read, an answer written, an error told. JSON comes in and goes out here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from serve_app.errors import InvalidRequest, MalformedBody, RerankError
from serve_app.router.ranking import Asked, Ranking

Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Dialect(Generic[Body]):
    """A wire format. `reply` and `failure` are the types of what it writes, for the OpenAPI document."""

    name: str
    body: type[Body]
    reply: Any
    failure: Any
    read: Callable[[Body], Asked]
    write: Callable[[Body, Ranking, int], Any]
    """Body, answer and Unix seconds in, a value of the type `reply` out."""
    describe_error: Callable[[RerankError], Any]
    """A value of the type `failure`."""

    def question(self, sent: Mapping[str, Any]) -> "Question[Body]":
        """A body as it was sent; raises InvalidRequest."""
        body = validated(self.body, sent)
        return Question(self, body, self.read(body))

    def write_error(self, error: RerankError) -> bytes:
        """The error as JSON."""
        return to_json(self.describe_error(error))


@dataclass(frozen=True, slots=True)
class Question(Generic[Body]):
    """A body that was read, and what it asks."""

    dialect: Dialect[Body]
    body: Body
    asked: Asked

    def answer(self, ranking: Ranking, created: int) -> bytes:
        """The reply as JSON."""
        return to_json(self.dialect.write(self.body, ranking, created))


def parse(content: bytes) -> Mapping[str, Any]:
    """A JSON object; raises MalformedBody, InvalidRequest."""
    try:
        sent = from_json(content, allow_inf_nan=False)
    except ValueError as error:
        raise MalformedBody(f"the body is not JSON: {error}") from error
    if not isinstance(sent, dict):
        raise InvalidRequest("the body is not a JSON object: send query and documents")
    return sent


def validated(body: type[Body], sent: Mapping[str, Any]) -> Body:
    """The body as its class has it; raises InvalidRequest that names the field."""
    try:
        return body.model_validate(sent)
    except ValidationError as error:
        raise first_problem(error) from error


def first_problem(error: ValidationError) -> InvalidRequest:
    """The first thing that is wrong, with the field it is about."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = first["loc"]
    if place[:1] == ("documents",) and len(place) > 1:
        param = f"documents.{place[1]}"
        return InvalidRequest(f"{param} is neither a string nor an object with a string in `text`", param)
    param = ".".join(map(str, place))
    said = first["msg"].removeprefix("Value error, ")
    return InvalidRequest(f"{param}: {said}" if param else said, param or None)
