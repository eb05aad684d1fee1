"""The use case, top to bottom: admit, choose, allow, score, rank, count. It knows no wire format, no key and no Ray."""

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Protocol

from serve_app.catalog import Catalog, Served, Variant
from serve_app.errors import BudgetExceeded, Forbidden, InvalidRequest, NotReady, RerankError, TooManyDocuments
from serve_app.plan import Cascade
from serve_app.router.caller import EVERYBODY, Caller
from serve_app.router.cascade import Scored, merge, state_of, steps, timings_of, usage_of
from serve_app.router.charge import NANO, Account, Charge
from serve_app.router.chooser import Chooser
from serve_app.router.direction import instead_of
from serve_app.router.limits import RateLimiter
from serve_app.router.prediction import Extent
from serve_app.router.ranking import Asked, Choice, Ranking, RerankRequest, Usage, Wish
from serve_app.router.roll_call import RollCall
from serve_app.router.shadow import Answered, Shadows
from serve_app.router.stages import run
from serve_app.router.switchboard import Switchboard
from serve_app.router.traffic import followers_of
from serve_app.router.usage import Grouping, Ledger, UsageLine
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

    def __init__(
        self,
        catalog: Catalog,
        scorers: Scorers,
        limits: Limits,
        limiter: RateLimiter,
        ledger: Ledger,
        switchboard: Switchboard,
    ) -> None:
        self.catalog = catalog
        self.limits = limits
        self._scorers = scorers
        self._limiter = limiter
        self._ledger = ledger
        self._switchboard = switchboard
        self._shadows = Shadows(self._order, self._predicted_ms, switchboard)
        roll_call = RollCall(list(catalog.variants.values()), scorers.state, time.monotonic)
        self._chooser = Chooser(catalog, switchboard, roll_call)

    async def rerank(self, request: RerankRequest) -> Ranking:
        """Score the documents by the chosen variant and rank them."""
        caller, asked = request.caller, request.asked
        if not caller.may_rerank:
            raise Forbidden("this key may not rank documents: its scopes lack `rerank`")
        self._admit(asked)
        extent = Extent.of(asked.queries, asked.documents, asked.reading)
        choice = await self._chooser.choose(Wish(asked.model, asked.bounds), caller, extent)
        choice = await self._chooser.direct(choice, request, extent)
        self._require_one_query(choice.variant, asked)
        self._require_budget(caller)
        async with self._limiter.admit(caller, len(asked.documents), request.timeout_s) as standing:
            predicted_ms = self._chooser.predicted_ms(choice.variant, extent)
            choice, scored = await self._answered(choice, request)
        usage = usage_of(scored)
        account = Account(datetime.now(UTC).date(), caller.key, choice.variant.id)
        self._ledger.count(account, charge(scored, usage))
        self._follow(choice, request, scored)
        return Ranking(
            request_id=request.request_id,
            choice=choice,
            predicted_ms=predicted_ms,
            results=merge(scored, asked.top_n),
            usage=usage,
            timings=timings_of(scored),
            standing=standing,
        )

    async def prove(self, served: Served) -> None:
        """Score one document, so that what cannot answer shows it before it is to answer; raises what scoring does."""
        job = ScoreJob(("q",), ("d",), self.limits.request_timeout_s)
        for variant in self.catalog.variants_of(served):
            await self._scorers.score(variant, job)

    async def close(self) -> None:
        """Stop what runs beside the answers."""
        await self._shadows.close()

    async def models(self, caller: Caller) -> list[tuple[Served, ScorerState]]:
        """Every variant and cascade that the caller may use with its live state, in the catalog's order."""
        every = [served for served in self.catalog.every if self._chooser.may_use(caller, served)]
        return list(zip(every, await self._states(every), strict=True))

    async def model(self, name: str | None, caller: Caller) -> tuple[Served, ScorerState]:
        """One of them, by any name a request may use (None: the caller's default), with its live state."""
        served = (await self._chooser.choose(Wish(name), caller)).variant
        return served, (await self._states([served]))[0]

    async def usage(self, first: date, last: date, by: tuple[Grouping, ...], caller: Caller) -> list[UsageLine]:
        """What the caller's key has used; what all keys have, for an admin. Raises UsageUnavailable."""
        if first > last:
            raise InvalidRequest("from is after to", "from")
        return await self._ledger.usage(first, last, by, None if caller.admin else caller.key)

    async def ready(self) -> str:
        """The model of the default route, when it can answer now; raises NotReady that says why it cannot."""
        variant = (await self._chooser.choose(Wish(), EVERYBODY)).variant
        state = (await self._states([variant]))[0]
        if state.status != "ready":
            because = f": {state.reason}" if state.reason else ""
            raise NotReady(f"the default route, {variant.id}, is {state.status}{because}")
        return variant.id

    async def _states(self, every: Sequence[Served]) -> list[ScorerState]:
        variants = {variant.name: variant for served in every for variant in self.catalog.variants_of(served)}
        states = dict(zip(variants, await self._scorers.state(list(variants.values())), strict=True))
        return [state_of([states[variant.name] for variant in self.catalog.variants_of(served)]) for served in every]

    def _admit(self, asked: Asked) -> None:
        if not all(query.strip() for query in asked.queries):
            raise InvalidRequest("query is empty: say what the documents should be ranked by", "query")
        if not asked.documents:
            raise InvalidRequest("documents is empty: send at least one document", "documents")
        if (given := len(asked.documents)) > (most := self.limits.max_documents):
            raise TooManyDocuments(
                f"{given} documents are more than the {most} that one request may hold: send them in parts", "documents"
            )

    def _require_one_query(self, served: Served, asked: Asked) -> None:
        if isinstance(served, Cascade) and len(asked.queries) > 1:
            raise InvalidRequest(
                f"{served.id} is a cascade, which keeps the best documents of one query: send one, or name one of "
                f"{', '.join(stage.variant for stage in served.stages)}",
                "model",
            )

    async def _answered(self, choice: Choice, request: RerankRequest) -> tuple[Choice, list[Scored]]:
        """What was scored and by whose choice: a canary that fails costs nobody an answer."""
        began = time.monotonic()
        try:
            return choice, await self._scored(choice, request)
        except RerankError as error:
            if (other := instead_of(self.catalog, choice, error)) is None:
                raise
        left_s = request.timeout_s - (time.monotonic() - began)
        return other, await self._scored(other, request.within(left_s))

    async def _scored(self, choice: Choice, request: RerankRequest) -> list[Scored]:
        began = time.monotonic()
        documents = len(request.asked.documents)
        try:
            scored = await run(steps(self.catalog, choice.variant, documents), request, self._score)
        except RerankError as error:
            self._switchboard.failed(choice, error)
            raise
        self._switchboard.answered(choice, 1_000 * (time.monotonic() - began), documents)
        return scored

    def _follow(self, choice: Choice, request: RerankRequest, scored: Sequence[Scored]) -> None:
        """Have the route's shadows score copies, and a canary's baseline."""
        if choice.route is None or choice.lane is None:
            return
        if followers := followers_of(choice.route, choice.lane, request.request_id):
            order = [ranked.index for ranked in merge(scored, None)]
            answered = Answered(choice.route, choice.variant.name, request, order)
            for name in followers:
                self._shadows.follow(answered, self.catalog.named(name))

    async def _order(self, served: Served, request: RerankRequest) -> Sequence[int]:
        """Places of the documents in the order that a variant or cascade gives them."""
        self._require_one_query(served, request.asked)
        scored = await run(steps(self.catalog, served, len(request.asked.documents)), request, self._score)
        return [ranked.index for ranked in merge(scored, None)]

    def _predicted_ms(self, served: Served, request: RerankRequest) -> float:
        asked = request.asked
        return self._chooser.predicted_ms(served, Extent.of(asked.queries, asked.documents, asked.reading))

    async def _score(self, variant: Variant, job: ScoreJob) -> ScoreOutcome:
        extent = Extent.of(job.queries, job.documents, job.reading)
        self._chooser.predictor.sent(variant, extent)
        began = time.monotonic()
        outcome = await self._scorers.score(variant, job)
        self._chooser.predictor.answered(variant, extent, outcome, time.monotonic() - began)
        return outcome

    def _require_budget(self, caller: Caller) -> None:
        budget = caller.monthly_budget_usd
        if budget is not None and self._ledger.spent_nano(caller.key) >= budget * NANO:
            raise BudgetExceeded(f"this key has spent its ${budget:g} of this month (UTC): raise its budget, or wait")


def charge(scored: Sequence[Scored], usage: Usage) -> Charge:
    """What an answered request costs: the catalog's price of each pair that a model read, by that model's price.

    A long document that is read in chunks costs each of them, as Cohere's does.
    """
    return Charge(
        requests=1,
        documents=usage.documents,
        pairs=usage.pairs,
        tokens=usage.tokens,
        search_units=usage.search_units,
        nano_usd=sum(each.outcome.pairs * round(each.step.variant.price_per_1k_docs * NANO / 1_000) for each in scored),
    )
