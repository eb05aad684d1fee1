"""What was used, `GET /v1/usage`: lines of the ledger as JSON."""

from collections.abc import Sequence
from datetime import date
from typing import Literal

from pydantic import BaseModel, Field

from serve_app.errors import InvalidRequest
from serve_app.router.charge import NANO
from serve_app.router.usage import Grouping, UsageLine

DEFAULT_GROUPS = "day,model"


class UsedBy(BaseModel):
    """What was used by one group; it has the fields that lines are grouped by."""

    day: date | None = None
    model: str | None = None
    key: str | None = Field(None, description="The public id of a key.")
    requests: int
    documents: int
    pairs: int = Field(description="Query-document pairs that the model read; a chunk of a long document is one.")
    tokens: int
    search_units: int
    cost_usd: float


class UsageReply(BaseModel):
    """Lines sorted by the fields that they are grouped by. Days are UTC; both ends are included."""

    object: Literal["usage"] = "usage"
    first: date = Field(serialization_alias="from")
    to: date
    group_by: list[Grouping]
    data: list[UsedBy]


def groups(text: str) -> tuple[Grouping, ...]:
    """`day,model,key` or some of them; raises InvalidRequest."""
    try:
        return tuple(dict.fromkeys(Grouping(part.strip()) for part in text.split(",") if part.strip()))
    except ValueError:
        known = ", ".join(Grouping)
        raise InvalidRequest(f"group_by takes {known}, with commas between them", "group_by") from None


def describe(first: date, last: date, by: tuple[Grouping, ...], lines: Sequence[UsageLine]) -> bytes:
    """The reply as JSON."""
    reply = UsageReply(first=first, to=last, group_by=list(by), data=[_used(line) for line in lines])
    return reply.model_dump_json(by_alias=True, exclude_none=True).encode()


def _used(line: UsageLine) -> UsedBy:
    charge = line.charge
    return UsedBy(
        day=line.day,
        model=line.model,
        key=line.key,
        requests=charge.requests,
        documents=charge.documents,
        pairs=charge.pairs,
        tokens=charge.tokens,
        search_units=charge.search_units,
        cost_usd=charge.nano_usd / NANO,
    )
