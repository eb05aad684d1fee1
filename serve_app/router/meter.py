"""Metrics as Ray has them: figures come in, and Ray's metrics port shows them. Which figures there are: `metrics`."""

from ray.util import metrics as ray_metrics

from serve_app.metrics import Counter, Gauge, Histogram


class RayMeter:
    """Works in a process of Ray alone: its objects are made when they are first needed."""

    def __init__(self) -> None:
        self._made: dict[str, ray_metrics.Counter | ray_metrics.Gauge | ray_metrics.Histogram] = {}

    def count(self, metric: Counter, by: float, **tags: str) -> None:
        """Add to it; to add nothing, which Ray refuses, does nothing."""
        if by == 0:
            return
        made = self._made.get(metric.name)
        if not isinstance(made, ray_metrics.Counter):
            made = self._made[metric.name] = ray_metrics.Counter(metric.name, metric.help, metric.tags)
        made.inc(by, tags)

    def set(self, metric: Gauge, value: float, **tags: str) -> None:
        """Its value from now on."""
        made = self._made.get(metric.name)
        if not isinstance(made, ray_metrics.Gauge):
            made = self._made[metric.name] = ray_metrics.Gauge(metric.name, metric.help, metric.tags)
        made.set(value, tags)

    def observe(self, metric: Histogram, value: float, **tags: str) -> None:
        """One that was measured."""
        made = self._made.get(metric.name)
        if not isinstance(made, ray_metrics.Histogram):
            made = self._made[metric.name] = ray_metrics.Histogram(
                metric.name, metric.help, list(metric.boundaries), metric.tags
            )
        made.observe(value, tags)
