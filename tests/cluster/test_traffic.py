from pathlib import Path

import pytest

from serve_app.cluster.traffic import FEW, MANY, Phase, phased, read_trace, steady
from serve_app.errors import ConfigurationError


def test_steady_traffic_has_its_rate_and_is_the_same_every_time() -> None:
    requests = steady(50, 100, 200)
    assert len(requests) == pytest.approx(50 * 200, rel=0.03)
    assert {request.documents for request in requests} == {100}
    assert requests[0].at_s >= 0
    assert requests[-1].at_s < 200
    assert requests == steady(50, 100, 200)
    assert requests != steady(50, 100, 200, seed=2)


def test_phases_follow_each_other_and_rates_change_within_one() -> None:
    requests = phased([Phase("rising", 100, 10, 30, 0.0), Phase("large", 100, 5, 5, 1.0)])
    halves = [sum(low <= r.at_s < low + 50 for r in requests) for low in (0, 50, 100, 150)]
    assert halves == [pytest.approx(expected, rel=0.15) for expected in (750, 1_250, 250, 250)]
    assert [r.documents for r in requests] == [FEW if r.at_s < 100 else MANY for r in requests]


def test_a_trace_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("documents,at_s,caller\n10,2.5,a\n1000,0,b\n")
    assert [(r.at_s, r.documents) for r in read_trace(tmp_path / "t.csv")] == [(0.0, 1_000), (2.5, 10)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "a trace begins with the line at_s,documents"),
        ("time,docs\n1,2\n", "a trace begins with the line at_s,documents"),
        ("at_s,documents\n", "has no requests"),
        ("at_s,documents\n1,10\nsoon,10\n", "line 3: seconds and a number of documents"),
        ("at_s,documents\n1\n", "line 2: seconds and a number of documents"),
        ("at_s,documents\n-1,10\n", "line 2: seconds are not negative"),
        ("at_s,documents\nnan,10\n", "line 2: seconds are not negative"),
        ("at_s,documents\n1,0\n", "line 2: seconds are not negative, and documents at least 1"),
    ],
)
def test_a_wrong_trace_is_refused_with_the_line(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ConfigurationError, match=complaint):
        read_trace(tmp_path / "t.csv")


def test_a_trace_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.csv cannot be read"):
        read_trace(tmp_path / "none.csv")
