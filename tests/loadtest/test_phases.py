import pytest
from rich.console import Console

from loadtest.phases import Phase, Ratios, compare, goals, percentile, phase_of, table
from loadtest.service import Answer

HUNDRED = [float(number) for number in range(100, 0, -1)]


def phase(p99_ms: float | None, docs_per_s: float) -> Phase:
    return Phase("any", 30, 600, 40, 1.0, 2.0, p99_ms, docs_per_s, {})


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        (HUNDRED, 50, 50),
        (HUNDRED, 95, 95),
        (HUNDRED, 99, 99),
        (HUNDRED, 7, 7),  # 7 / 100 * 100 is above 7 in floating point
        (HUNDRED[:10], 99, 100),
        ([3.0, 1.0, 2.0], 50, 2),
        ([5.0], 1, 5),
        ([], 50, None),
    ],
)
def test_percentiles(values: list[float], percent: float, expected: float | None) -> None:
    assert percentile(values, percent) == expected


def test_a_phase_counts_documents_of_its_window_and_latencies_of_all_small_requests() -> None:
    small = [Answer(10, 10.1, 10, None), Answer(13, 14.5, 10, None), Answer(12, 12.001, 0, "503")]
    large = [Answer(10, 12, 1000, None), Answer(12, 14, 1000, None), Answer(10, 11, 0, "ReadTimeout")]
    seen = phase_of("mixed", small, large, began=10, ended=14)
    assert (seen.small, seen.large, seen.seconds) == (3, 3, 4)
    assert seen.docs_per_s == 2010 / 4
    assert seen.p50_ms == pytest.approx(100)
    assert seen.p99_ms == pytest.approx(1500)
    assert seen.failures == {"503": 1, "ReadTimeout": 1}


def test_ratios_are_those_of_what_was_measured() -> None:
    assert compare([phase(10, 200), phase(None, 1000), phase(25, 970)]) == Ratios(p99=2.5, docs_per_s=0.97)


def test_a_phase_without_answers_has_no_ratio() -> None:
    assert compare([phase(None, 0), phase(None, 0), phase(None, 0)]) == Ratios(None, None)


def test_the_table_shows_failures_by_status() -> None:
    failed = Phase("mixed", 30, 90, 10, None, None, None, 0, {"503": 4, "ReadTimeout": 1})
    console = Console(width=200)
    with console.capture() as printed:
        console.print(table([phase(2.0, 1234), failed]), goals(Ratios(2.5, None)))
    lines = [line.split() for line in printed.get().splitlines()]
    assert lines[1] == ["any", "30.0", "600", "1.0", "2.0", "2.0", "40", "1,234", "0"]
    assert lines[2][-7:] == ["0", "5.0%:", "4", "x", "503,", "1", "x", "ReadTimeout"][-7:]
    assert lines[4][-3:] == ["2.50", "≤", "3"]
    assert lines[5][-3:] == ["–", "≥", "0.95"]
