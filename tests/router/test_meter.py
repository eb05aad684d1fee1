"""What Ray's own classes take of our metrics: they check names and bounds when they are made, without a cluster."""

import pytest

from serve_app import metrics
from serve_app.metrics import Counter, Gauge, Histogram
from serve_app.router.meter import RayMeter

EVERY = [each for each in vars(metrics).values() if isinstance(each, Counter | Gauge | Histogram)]


@pytest.mark.parametrize("metric", EVERY, ids=[metric.name for metric in EVERY])
def test_ray_takes_every_metric(metric: Counter | Gauge | Histogram) -> None:
    meter, tags = RayMeter(), dict.fromkeys(metric.tags, "x")
    for value in (0.0, 0.5):
        match metric:
            case Counter():
                meter.count(metric, value, **tags)
            case Gauge():
                meter.set(metric, value, **tags)
            case Histogram():
                meter.observe(metric, value, **tags)


def test_ray_refuses_bounds_that_are_not_above_0() -> None:
    with pytest.raises(ValueError, match="positive"):
        RayMeter().observe(Histogram("rerank_odd", "Odd.", (-0.5, 0.5)), 0.1, variant="x")
