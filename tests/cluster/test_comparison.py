import pytest

from serve_app.catalog import Catalog
from serve_app.cluster.comparison import MODEL, OURS, RAYS, compare, table
from serve_app.cluster.traffic import MIXED, phased
from tests.conftest import ROOT


@pytest.mark.slow
def test_tokens_are_the_better_signal_and_the_table_says_by_how_much(catalog: Catalog) -> None:
    lines = list(compare(catalog.variants[MODEL], phased(MIXED), (OURS, RAYS)))
    rays, ours = lines
    assert (rays.name, ours.name) == (RAYS, OURS)
    assert ours.replica_s < 0.5 * rays.replica_s
    assert ours.p99_s < rays.p99_s
    assert (ours.late, ours.seconds_above) < (rays.late, rays.seconds_above)
    written = (ROOT / "loadtest/results/autoscaling-signals.md").read_text()
    assert set(table(lines).splitlines()) <= set(written.splitlines()), "python -m serve_app.cluster.comparison"
