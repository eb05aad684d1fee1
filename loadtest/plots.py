"""What is drawn of runs: a run and its timeline in, charts out."""

from collections.abc import Callable, Sequence

from loadtest.axes import above, linear, logarithmic, nines, seconds
from loadtest.charts import COLOURS, Chart, Point, Series
from loadtest.figures import phases_of, slo_of
from loadtest.percentiles import curve
from loadtest.samples import Replicas, Run
from loadtest.timeline import Tick, tick_seconds, timeline
from loadtest.wording import counts, milliseconds, number

TIME = "time since the run began, s"


def plots(run: Run) -> list[Chart]:
    """All of one run."""
    ticks = timeline(run)
    drawn = [latency_over_time(run, ticks), latency_curves([run]), *throughput_over_time(run, ticks)]
    replicas = [replicas_over_time(run)] if run.replicas else []
    return [*drawn, *replicas, lateness_over_time(run, ticks)]


def latency_over_time(run: Run, ticks: Sequence[Tick]) -> Chart:
    """With the failed requests as dots, one for those of a tick."""
    p50: list[Point] = [(_middle(run, tick), tick.p50_ms) for tick in ticks]
    p99: list[Point] = [(_middle(run, tick), tick.p99_ms) for tick in ticks]
    failed: list[Point] = [(_middle(run, tick), tick.failed_after_ms) for tick in ticks]
    limit = _limit(run)
    values = [value for _, value in (*p99, *p50, *failed) if value is not None] + ([limit[0]] if limit else [])
    return Chart(
        "Latency over time",
        seconds(TIME, run.seconds),
        logarithmic("latency from when a request was due, ms", values),
        [Series("p50", p50, "c0"), Series("p99", p99, "c1"), Series("failed", failed, "failed", dots=True)],
        _marks(run),
        limit,
        _hints(run, ticks, _latency_words),
    )


def latency_curves(runs: Sequence[Run]) -> Chart:
    """Percentiles of each run, ever closer to 100 %."""
    curves = [curve(each.latency_ms for each in run.samples if each.failure is None) for run in runs]
    series = [
        Series(run.name, [(above(percent), value) for percent, value in points], colour(place))
        for place, (run, points) in enumerate(zip(runs, curves, strict=True))
    ]
    limit = _limit(runs[0])
    values = [value for points in curves for _, value in points] + ([limit[0]] if limit else [])
    highest = max((points[-1][0] for points in curves if points), default=0.0)
    x, y = nines("percentile, %", highest), logarithmic("latency from when a request was due, ms", values)
    return Chart("Latency by percentile", x, y, series, limit=limit)


def throughput_over_time(run: Run, ticks: Sequence[Tick]) -> list[Chart]:
    """Requests beside what was offered; documents."""
    offered = [(_middle(run, tick), tick.offered) for tick in ticks]
    answered = [(_middle(run, tick), tick.answered) for tick in ticks]
    documents: list[Point] = [(_middle(run, tick), tick.documents) for tick in ticks]
    across = seconds(TIME, run.seconds)
    rate = linear("requests/s", (value for _, value in (*offered, *answered)))
    lines = [Series("offered", offered, "soft"), Series("answered", answered, "c0")]
    text = linear("documents/s", (tick.documents for tick in ticks))
    hints, marks = _hints(run, ticks, _rate_words), _marks(run)
    return [
        Chart("Throughput and offered load", across, rate, lines, marks, hints=hints),
        Chart("Documents answered", across, text, [Series("answered", documents, "c2")], marks, hints=hints),
    ]


def replicas_over_time(run: Run) -> Chart:
    """Of each model that was seen."""
    models: dict[str, list[Replicas]] = {}
    for each in sorted(run.replicas, key=lambda each: each.at):
        models.setdefault(each.model, []).append(each)
    series = [
        Series(
            model,
            [*((each.at, each.running) for each in seen), (run.seconds, seen[-1].running)],
            colour(place),
            steps=True,
        )
        for place, (model, seen) in enumerate(models.items())
    ]
    most = linear("running replicas", (each.running for each in run.replicas), whole=True)
    return Chart("Replicas", seconds(TIME, run.seconds), most, series, _marks(run))


def lateness_over_time(run: Run, ticks: Sequence[Tick]) -> Chart:
    """Of the load generator: while it is late, the latencies are its own as well."""
    late: list[Point] = [(_middle(run, tick), tick.late_ms) for tick in ticks]
    sent = linear("sent after due, ms", (value for _, value in late if value is not None))
    return Chart("Load generator", seconds(TIME, run.seconds), sent, [Series("p99", late, "c3")], _marks(run))


def rates_of(runs: Sequence[Run]) -> Chart:
    """Requests that each run answered, over time."""
    lines = [[(_middle(run, tick), tick.answered) for tick in timeline(run)] for run in runs]
    named = zip(runs, lines, strict=True)
    series = [Series(run.name, points, colour(place)) for place, (run, points) in enumerate(named)]
    rate = linear("requests answered/s", (value for points in lines for _, value in points))
    return Chart("Throughput", seconds(TIME, max(run.seconds for run in runs)), rate, series, _marks(runs[0]))


def colour(place: int) -> str:
    """The class of a series."""
    return f"c{place % COLOURS}"


def _marks(run: Run) -> list[tuple[float, str]]:
    return [(began, name) for name, began, _ in phases_of(run) if began < run.seconds]


def _limit(run: Run) -> tuple[float, str] | None:
    slo_ms = slo_of(run)
    return None if slo_ms is None else (slo_ms, f"limit {milliseconds(slo_ms)}")


def _middle(run: Run, tick: Tick) -> float:
    return tick.at + tick_seconds(run) / 2


def _hints(run: Run, ticks: Sequence[Tick], words: Callable[[Tick], str]) -> list[tuple[float, float, str]]:
    return [(tick.at, tick.at + tick_seconds(run), f"{tick.at:g} s: {words(tick)}") for tick in ticks]


def _latency_words(tick: Tick) -> str:
    failed = f", failed: {counts(tick.failures)}" if tick.failures else ""
    return f"p50 {milliseconds(tick.p50_ms)}, p99 {milliseconds(tick.p99_ms)}{failed}"


def _rate_words(tick: Tick) -> str:
    offered, answered, documents = (number(each) for each in (tick.offered, tick.answered, tick.documents))
    return f"{offered} requests/s offered, {answered} answered, with {documents} documents/s"
