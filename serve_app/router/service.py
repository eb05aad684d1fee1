"""The use case, top to bottom: admit, choose, score, rank. It knows no wire format and no Ray."""

from collections.abc import Sequence
from typing import Protocol

from serve_app.catalog import Catalog, Variant
from serve_app.errors import InvalidRequest, NotReady, TooManyDocuments
from serve_app.router.ranking import Ranking, RerankRequest, Usage, Wish, rank
from serve_app.router.selection import choose
from serve_app.scoring import ScoreJob, ScoreOutcome, ScorerState
from serve_app.settings import Limits


class Scorers(Protocol):
    """The variants' scorers, wherever they run."""

    async def score(self, variant: Variant, job: ScoreJob) -> ScoreOutcome:
        """Logits of the job's documents; raises one of `serve_app.errors` within the job's time."""
        ...

    async def state(self, variants: Sequence[Variant]) -> list[ScorerState]:
        """What each variant can do now; never starts one that is idle."""
        ...


class RerankService:
    """Answers requests from the variants of one catalog."""

    def __init__(self, catalog: Catalog, scorers: Scorers, limits: Limits) -> None:
        self.catalog = catalog
        self.limits = limits
        self._scorers = scorers

    async def rerank(self, request: RerankRequest) -> Ranking:
        """Score the documents by the chosen variant and rank them."""
        self._admit(request)
        variant = choose(self.catalog, request.wish).variant
        job = ScoreJob(
            query=request.query,
            documents=request.documents,
            timeout_s=request.timeout_s,
            max_tokens_per_doc=request.max_tokens_per_doc,
        )
        outcome = await self._scorers.score(variant, job)
        return Ranking(
            request_id=request.request_id,
            model=variant.id,
            results=rank(outcome.logits, request.top_n),
            usage=Usage(outcome.tokens, len(request.documents)),
            timings=outcome.timings,
        )

    async def models(self) -> list[tuple[Variant, ScorerState]]:
        """Every variant with its live state, in the catalog's order."""
        variants = list(self.catalog.variants.values())
        return list(zip(variants, await self._scorers.state(variants), strict=True))

    async def model(self, name: str) -> tuple[Variant, ScorerState]:
        """One variant, by any name a request may use, with its live state."""
        variant = choose(self.catalog, Wish(name)).variant
        return variant, (await self._scorers.state([variant]))[0]

    async def ready(self) -> str:
        """The model of the default route, when it can answer now; raises NotReady that says why it cannot."""
        variant = choose(self.catalog, Wish()).variant
        state = (await self._scorers.state([variant]))[0]
        if state.status != "ready":
            because = f": {state.reason}" if state.reason else ""
            raise NotReady(f"the default route, {variant.id}, is {state.status}{because}")
        return variant.id

    def _admit(self, request: RerankRequest) -> None:
        if not request.query.strip():
            raise InvalidRequest("query is empty: say what the documents should be ranked by", "query")
        if not request.documents:
            raise InvalidRequest("documents is empty: send at least one document", "documents")
        if (given := len(request.documents)) > (most := self.limits.max_documents):
            raise TooManyDocuments(
                f"{given} documents are more than the {most} that one request may hold: send them in parts", "documents"
            )
