"""Which lane of a route answers a request, and which shadows follow. Pure: a route and a request's key in, lanes out.

Weighted rendezvous hashing (Schindelhauer and Schomaker, "Weighted distributed hash tables", SPAA 2005): every lane
draws `-weight / ln(u)`, where u in (0, 1) is a hash of the route, the lane and the key, and the highest draw answers.
A lane is drawn as often as its weight says, and no lane's draw depends on another's: when a weight changes, keys move
to the lane that gained or from the one that lost, and no others. Nothing is remembered, so that every replica, before
and after a restart, finds the same lane.
"""

import math
from hashlib import blake2b

from serve_app.routes import Lane, Route, Sticky

_DRAWS = 2**64


def lane_of(route: Route, key: str) -> Lane:
    """The lane that answers whatever has this key; one without weight never does."""
    return max(route.lanes, key=lambda lane: -lane.weight / math.log(_drawn(route.name, lane.variant, key)))


def followers_of(route: Route, lane: Lane, request_id: str) -> tuple[str, ...]:
    """What is to score a copy of the request that the lane answered: shadows, and the baseline beside a canary.

    By the request's own id, so that not always the same callers' requests are copied.
    """
    followers = [each.variant for each in route.shadows if _drawn(route.name, each.variant, request_id) < each.sample]
    if lane.guard is not None and _drawn(route.name, "compare", request_id) < lane.guard.compare:
        followers.append(route.baseline.variant)
    return tuple(name for name in dict.fromkeys(followers) if name != lane.variant)


def key_of(route: Route, user: str | None, api_key: str, query: str) -> str:
    """What decides over the lane: the route's stickiness, and the query where a request has nothing else to go by."""
    if route.sticky is Sticky.USER and user:
        return f"user {user}"
    if route.sticky is Sticky.KEY:
        return f"key {api_key}"
    return f"query {query}"


def _drawn(*parts: str) -> float:
    """A number in (0, 1) that looks random, always the same for these texts."""
    digest = blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    # Near 1 a float has 53 bits, and ln(1) is 0: the largest hashes are all the number below 1.
    return min((int.from_bytes(digest) + 0.5) / _DRAWS, math.nextafter(1.0, 0.0))
