"""Who asks, as the router knows them once their key is checked. The key itself is known to `keys` alone."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a key may have; None is no limit."""

    requests_per_minute: int | None = None
    documents_per_minute: int | None = None
    concurrent_documents: int | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """The owner of a valid key, or everybody in open mode."""

    key: str
    """The key's public id; `open` in open mode."""
    may_rerank: bool = True
    admin: bool = False
    """Whether it sees what every key has used, and may change routes."""
    models: frozenset[str] | None = None
    """Names of the variants that it may use; all when None."""
    default_model: str | None = None
    """Answers its requests that name no model, instead of the catalog's default."""
    dialect: str | None = None
    """How its requests are read where path and body leave several ways."""
    allowance: Allowance = Allowance()
    monthly_budget_usd: float | None = None
    may_choose_lane: bool = False
    """Whether it may say which lane of a route is to answer."""


EVERYBODY = Caller("open", admin=True, may_choose_lane=True)
"""The caller of every request in open mode."""
