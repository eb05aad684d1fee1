"""Which variant or cascade answers a wish. Pure: a catalog and a wish in, a choice with its reason out."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

from serve_app.catalog import Catalog, Served, Tier
from serve_app.errors import InvalidRequest, UnknownModel
from serve_app.router.ranking import Wish

TIER_PREFIX = "tier:"
NAME_SHOWN = 100
"""Characters of an unknown name that its error repeats, and that are compared with the known names."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The variant or cascade that answers, and why it does."""

    variant: Served
    because: str


def choose(catalog: Catalog, wish: Wish) -> Choice:
    """The variant for a wish; raises UnknownModel with the nearest names, InvalidRequest for an empty one."""
    if wish.model is None:
        return Choice(catalog.default_served, "default route")
    name = wish.model.strip()
    if not name:
        raise InvalidRequest("model is empty: name a variant, or leave it out for the default route", "model")
    return next((policy for accepts, policy in _POLICIES if accepts(name)))(catalog, name)


def _by_tier(catalog: Catalog, name: str) -> Choice:
    wanted = name[len(TIER_PREFIX) :].casefold()
    if wanted not in set(Tier):
        raise UnknownModel(f"there is no tier {wanted[:NAME_SHOWN]!r}; the tiers are {', '.join(Tier)}", "model")
    members = [v for v in catalog.variants.values() if v.tier == wanted]
    if not members:
        raise UnknownModel(f"no variant of this catalog is in the tier {wanted}", "model")
    # The most accurate of a tier is on its Pareto front; of two that are equal, the faster one.
    best = max(members, key=lambda v: (v.figures.ndcg10, v.figures.docs_per_second_v100))
    return Choice(best, f"best of tier {wanted}")


def _by_name(catalog: Catalog, name: str) -> Choice:
    variant = catalog.find(name)
    if variant is None:
        raise UnknownModel(_unknown(catalog, name), "model")
    return Choice(variant, "named")


def _unknown(catalog: Catalog, name: str) -> str:
    shown = name[:NAME_SHOWN]
    nearest = get_close_matches(shown.casefold(), catalog.names, n=6, cutoff=0.4)
    variants = dict.fromkeys(catalog.names[n] for n in nearest) or dict.fromkeys(catalog.names.values())
    listed = "the nearest names are" if nearest else "the names are"
    return f"there is no model {shown!r}; {listed} {', '.join(variants)} (GET /v1/models lists all)"


_POLICIES: tuple[tuple[Callable[[str], bool], Callable[[Catalog, str], Choice]], ...] = (
    (lambda name: name.casefold().startswith(TIER_PREFIX), _by_tier),
    (lambda _: True, _by_name),
)
"""How a name is read: the first row that accepts it."""
