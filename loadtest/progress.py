"""What a run looks like while it runs: what each process told in, a line that changes out."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence

from rich.table import Table

from loadtest.generator import Told
from loadtest.phases import percentile
from loadtest.samples import Sample

LAST_S = 5.0
"""That the percentiles are of."""


class Progress:
    """All that was told so far."""

    def __init__(self, dues: Sequence[float]) -> None:
        self._dues = dues
        self._sent: dict[int, int] = {}
        self._failed = 0
        self.samples: list[Sample] = []
        self.cpu_shares: list[float] = []
        self._last: list[Sample] = []

    def add(self, came: Mapping[int, Told], now: float) -> None:
        """From each process by its number; `now` is in seconds since the run began."""
        for number, told in came.items():
            self._sent[number] = told.sent
            self._failed += sum(sample.failure is not None for sample in told.samples)
            self.samples += told.samples
            self._last += told.samples
            if told.cpu_share is not None:
                self.cpu_shares.append(told.cpu_share)
        self._last = [sample for sample in self._last if sample.done > now - LAST_S]

    def shown(self, now: float) -> Table:
        """One row."""
        latencies = [sample.latency_ms for sample in self._last if sample.failure is None]
        table = Table(box=None, header_style="bold", pad_edge=False)
        cells = {
            "s": f"{now:,.0f}",
            "due": f"{bisect_right(self._dues, now):,} of {len(self._dues):,}",
            "sent": f"{sum(self._sent.values()):,}",
            "done": f"{len(self.samples):,}",
            "failed": f"{self._failed:,}",
            f"p50 ms ({LAST_S:g} s)": _milliseconds(latencies, 50),
            "p99 ms": _milliseconds(latencies, 99),
        }
        for heading in cells:
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_row(*cells.values())
        return table


def _milliseconds(latencies: Sequence[float], percent: float) -> str:
    found = percentile(latencies, percent)
    return "–" if found is None else f"{found:,.0f}"
