"""Which variant or cascade answers a wish. Pure: a catalog, a wish and candidates in, a choice with its reason out.

It knows no caller and no clock: the candidates are what the caller may use, each with what it is predicted to take.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from serve_app.catalog import Catalog, Tier, Variant
from serve_app.errors import Forbidden, InvalidRequest, NoneFits, UnknownModel
from serve_app.router.ranking import Bounds, Choice, Wish
from serve_app.routes import AUTO, TIER_PREFIX
from serve_app.scoring import ScorerStatus

NAME_SHOWN = 100
"""Characters of an unknown name that its error repeats, and that are compared with the known names."""
STARTS = "it has no replica yet and starts first"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A variant that the caller may use, as it stands now."""

    variant: Variant
    status: ScorerStatus
    predicted_ms: float

    @property
    def ready(self) -> bool:
        """Whether it has a replica that can answer: to start one takes seconds, on a cold node minutes."""
        return self.status == "ready"

    @property
    def accuracy(self) -> tuple[float, float]:
        """To compare by: of two that are as accurate, the faster one is better."""
        return self.variant.figures.ndcg10, self.variant.figures.docs_per_second_v100

    @property
    def price(self) -> float:
        """US dollars for 1,000 documents."""
        return self.variant.price_per_1k_docs

    def affordable(self, bounds: Bounds) -> bool:
        """Whether it costs no more than it may."""
        return bounds.max_price_per_1k_docs is None or self.price <= bounds.max_price_per_1k_docs

    def reaches(self, bounds: Bounds) -> bool:
        """Whether it is as accurate as it has to be."""
        return bounds.min_ndcg is None or self.variant.figures.ndcg10 >= bounds.min_ndcg

    def in_time(self, bounds: Bounds) -> bool:
        """Whether it is predicted to answer soon enough, once it has a replica."""
        return bounds.max_latency_ms is None or self.predicted_ms <= bounds.max_latency_ms


def needs_candidates(wish: Wish) -> bool:
    """Whether the choice depends on what the variants can do now; it does not where one is named, or the default."""
    return _policy(wish) in (_by_tier, _by_floor, _by_budget)


def is_open(wish: Wish) -> bool:
    """Whether the caller leaves everything to the service: the default route."""
    return _policy(wish) is _by_default


def choose(catalog: Catalog, wish: Wish, candidates: Sequence[Candidate] = ()) -> Choice:
    """The variant for a wish; raises UnknownModel with the nearest names, InvalidRequest, NoneFits, Forbidden."""
    if wish.model is not None and not wish.model.strip():
        raise InvalidRequest("model is empty: name a variant, or leave it out for the default route", "model")
    return _policy(wish)(catalog, wish, candidates)


def _by_default(catalog: Catalog, _: Wish, __: Sequence[Candidate]) -> Choice:
    return Choice(catalog.default_served, "default route")


def _by_name(catalog: Catalog, wish: Wish, _: Sequence[Candidate]) -> Choice:
    name = (wish.model or "").strip()
    variant = catalog.find(name)
    if variant is None:
        raise UnknownModel(_unknown(catalog, name), "model")
    if not (given := wish.bounds.given()):
        return Choice(variant, "named")
    warning = f"{' and '.join(given)} not considered: {variant.name} was named; say `auto` to have a variant chosen"
    return Choice(variant, "named", warnings=(warning,))


def _by_tier(catalog: Catalog, wish: Wish, candidates: Sequence[Candidate]) -> Choice:
    wanted = (wish.model or "").strip()[len(TIER_PREFIX) :].casefold()
    if wanted not in set(Tier):
        raise UnknownModel(f"there is no tier {wanted[:NAME_SHOWN]!r}; the tiers are {', '.join(Tier)}", "model")
    if not any(variant.tier == wanted for variant in catalog.variants.values()):
        raise UnknownModel(f"no variant of this catalog is in the tier {wanted}", "model")
    members = _able([candidate for candidate in candidates if candidate.variant.tier == wanted])
    if wish.bounds.given():
        return _within(wish.bounds, members, f" of tier {wanted}")
    best = max(members, key=lambda member: member.accuracy)
    return Choice(best.variant, f"best of tier {wanted}", wished=True)


def _by_floor(_: Catalog, wish: Wish, candidates: Sequence[Candidate]) -> Choice:
    reaching = _reaching(wish.bounds, _able(candidates), "")
    best = min(reaching, key=lambda candidate: (candidate.price, -candidate.accuracy[0]))
    because = f"cheapest with an NDCG@10 of at least {wish.bounds.min_ndcg:g}"
    return Choice(best.variant, because if best.ready else f"{because}; {STARTS}", wished=True)


def _by_budget(_: Catalog, wish: Wish, candidates: Sequence[Candidate]) -> Choice:
    return _within(wish.bounds, _able(candidates), "")


def _within(bounds: Bounds, candidates: Sequence[Candidate], where: str) -> Choice:
    """The most accurate within the bounds. One that has to start comes only where none that would do is ready."""
    affordable = [candidate for candidate in candidates if candidate.affordable(bounds)]
    kept = [candidate for candidate in _reaching(bounds, candidates, where) if candidate in affordable]
    fitting = [candidate for candidate in _awake(kept) if candidate.in_time(bounds)]
    if not fitting:
        return _next_best(bounds, _awake(kept or affordable or candidates), where)
    best = max(fitting, key=lambda candidate: candidate.accuracy)
    because = f"most accurate{where} that fits {_said(bounds)}, {best.predicted_ms:.0f} ms predicted"
    if best.ready:
        return Choice(best.variant, because + _asleep(best, kept, bounds), wished=True)
    late = bounds.max_latency_ms is not None
    if late and bounds.strict:
        raise NoneFits(
            f"no variant{where} fits {_said(bounds)} now: none is ready, and {best.variant.name} has to start"
        )
    return Choice(best.variant, f"{because}; {STARTS}", wished=True, degraded=late)


def _next_best(bounds: Bounds, candidates: Sequence[Candidate], where: str) -> Choice:
    fastest = min(candidates, key=lambda candidate: (candidate.predicted_ms, -candidate.accuracy[0]))
    price = "" if bounds.max_price_per_1k_docs is None else f" and ${fastest.price:g} per 1,000 documents"
    because = (
        f"no variant{where} fits {_said(bounds)}; "
        f"the fastest is {fastest.variant.name} at {fastest.predicted_ms:.0f} ms{price}"
    )
    if bounds.strict:
        raise NoneFits(because)
    return Choice(fastest.variant, because if fastest.ready else f"{because}; {STARTS}", wished=True, degraded=True)


def _asleep(best: Candidate, kept: Sequence[Candidate], bounds: Bounds) -> str:
    better = [other for other in kept if not other.ready and other.in_time(bounds) and other.accuracy > best.accuracy]
    if not better:
        return ""
    return f"; {max(better, key=lambda other: other.accuracy).variant.name} has no replica ready"


def _reaching(bounds: Bounds, candidates: Sequence[Candidate], where: str) -> Sequence[Candidate]:
    """Those that are accurate enough; raises InvalidRequest that names the best where none is."""
    best = max(candidates, key=lambda candidate: candidate.accuracy)
    if not best.reaches(bounds):
        raise InvalidRequest(
            f"no variant{where} that can answer has an NDCG@10 of {bounds.min_ndcg:g}; "
            f"the best is {best.variant.name} at {best.variant.figures.ndcg10:g}",
            "min_ndcg",
        )
    return [candidate for candidate in candidates if candidate.reaches(bounds)]


def _able(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Those that can answer. Where none can, all: one of them says why."""
    if not candidates:
        raise Forbidden("this key may use none of these variants; GET /v1/models lists what it may", "model")
    return [candidate for candidate in candidates if candidate.status != "unavailable"] or candidates


def _awake(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Those that are ready. Where none is, all."""
    return [candidate for candidate in candidates if candidate.ready] or candidates


def _said(bounds: Bounds) -> str:
    parts = []
    if bounds.max_latency_ms is not None:
        parts.append(f"{bounds.max_latency_ms:g} ms")
    if bounds.max_price_per_1k_docs is not None:
        parts.append(f"${bounds.max_price_per_1k_docs:g} per 1,000 documents")
    if bounds.min_ndcg is not None:
        parts.append(f"an NDCG@10 of {bounds.min_ndcg:g}")
    return " and ".join(parts)


def _unknown(catalog: Catalog, name: str) -> str:
    shown = name[:NAME_SHOWN]
    nearest = get_close_matches(shown.casefold(), catalog.names, n=6, cutoff=0.4)
    variants = dict.fromkeys(catalog.names[n] for n in nearest) or dict.fromkeys(catalog.names.values())
    listed = "the nearest names are" if nearest else "the names are"
    return f"there is no model {shown!r}; {listed} {', '.join(variants)} (GET /v1/models lists all)"


Policy = Callable[[Catalog, Wish, Sequence[Candidate]], Choice]


def _model(wish: Wish) -> str:
    return AUTO if wish.model is None else wish.model.strip().casefold()


_POLICIES: tuple[tuple[Callable[[Wish], bool], Policy], ...] = (
    (lambda wish: _model(wish).startswith(TIER_PREFIX), _by_tier),
    (lambda wish: _model(wish) != AUTO, _by_name),
    (lambda wish: not wish.bounds.given(), _by_default),
    (lambda wish: wish.bounds.given() == ("min_ndcg",), _by_floor),
    (lambda _: True, _by_budget),
)
"""How a wish is read: the first row that accepts it."""


def _policy(wish: Wish) -> Policy:
    return next(policy for accepts, policy in _POLICIES if accepts(wish))
