"""What one answered request costs: the unit that the ledger adds up."""

from dataclasses import dataclass
from datetime import date

NANO = 1_000_000_000
"""Money is counted in whole billionths of a US dollar: sums of floats depend on their order."""


@dataclass(frozen=True, slots=True)
class Account:
    """What charges are added up by: a UTC day, the public id of a key, the id of a variant."""

    day: date
    key: str
    model: str


@dataclass(frozen=True, slots=True)
class Charge:
    """Amounts of one request, or of many added up."""

    requests: int = 0
    documents: int = 0
    pairs: int = 0
    """Query-document pairs that the model read: more than documents where these are read in chunks."""
    tokens: int = 0
    search_units: int = 0
    nano_usd: int = 0

    def __add__(self, other: "Charge") -> "Charge":
        return Charge(
            self.requests + other.requests,
            self.documents + other.documents,
            self.pairs + other.pairs,
            self.tokens + other.tokens,
            self.search_units + other.search_units,
            self.nano_usd + other.nano_usd,
        )
