"""The API keys of the service under test: a folder in, a keyring and the texts of its keys out."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from serve_app.key_file import KeyTerms, add_key
from serve_app.router.keys import Keyring

DEFAULT_OF_TINY = "tinybert-l2-v2"


@dataclass(frozen=True)
class Keys:
    """What clients send as their key."""

    valid: str
    narrow: str
    """May have four documents at work at once."""
    tiny: str
    """Its requests that name no model are answered by DEFAULT_OF_TINY, and it may name no other."""
    infinity: str
    """Speaks Infinity's dialect where the path leaves it open."""
    wrong: str = f"rr_{'0' * 12}_{'A' * 43}"


def issue(folder: Path) -> tuple[Keyring, Keys]:
    """A key file in the folder, read by a keyring, and its keys."""
    file = folder / "keys.json"
    now = datetime.now(UTC)
    terms = (
        KeyTerms(name="valid"),
        KeyTerms(name="narrow", concurrent_documents=4),
        KeyTerms(name="tiny", default_model=DEFAULT_OF_TINY, models=(DEFAULT_OF_TINY,)),
        KeyTerms(name="infinity", dialect="infinity"),
    )
    keys = Keys(*(add_key(file, each, now).text for each in terms))
    return Keyring(file), keys
