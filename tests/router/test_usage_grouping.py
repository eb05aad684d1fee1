"""Amounts by day, key and model as lines by fewer of them."""

from datetime import date

import pytest

from serve_app.router.charge import Account, Charge
from serve_app.router.usage import Grouping, Ledger, UsageLine, grouped
from tests.router.memory_sink import MemorySink

LAST_OF_NOVEMBER = date(2026, 11, 30)
FIRST_OF_DECEMBER = date(2026, 12, 1)
AMOUNTS = [
    (Account(FIRST_OF_DECEMBER, "b", "m"), Charge(requests=1)),
    (Account(LAST_OF_NOVEMBER, "b", "n"), Charge(requests=2)),
    (Account(LAST_OF_NOVEMBER, "a", "m"), Charge(requests=4)),
    (Account(LAST_OF_NOVEMBER, "b", "m"), Charge(requests=8)),
]


@pytest.mark.parametrize(
    ("by", "lines"),
    [
        ((), [UsageLine(Charge(requests=15))]),
        ((Grouping.KEY,), [UsageLine(Charge(requests=4), key="a"), UsageLine(Charge(requests=11), key="b")]),
        (
            (Grouping.DAY,),
            [
                UsageLine(Charge(requests=14), day=LAST_OF_NOVEMBER),
                UsageLine(Charge(requests=1), day=FIRST_OF_DECEMBER),
            ],
        ),
        (
            (Grouping.MODEL, Grouping.DAY),  # sorted by the model first
            [
                UsageLine(Charge(requests=12), day=LAST_OF_NOVEMBER, model="m"),
                UsageLine(Charge(requests=1), day=FIRST_OF_DECEMBER, model="m"),
                UsageLine(Charge(requests=2), day=LAST_OF_NOVEMBER, model="n"),
            ],
        ),
    ],
)
def test_grouping(by: tuple[Grouping, ...], lines: list[UsageLine]) -> None:
    assert grouped(AMOUNTS, by) == lines
    assert grouped(AMOUNTS[::-1], by) == lines
    assert grouped([], by) == []


@pytest.mark.anyio
async def test_usage_holds_what_was_counted_just_now_and_what_is_asked_for() -> None:
    ledger = Ledger(MemorySink(), flush_every_s=3_600)
    ledger.count(Account(LAST_OF_NOVEMBER, "a", "m"), Charge(requests=1))
    ledger.count(Account(FIRST_OF_DECEMBER, "b", "m"), Charge(requests=2))
    december = (FIRST_OF_DECEMBER, FIRST_OF_DECEMBER)
    assert await ledger.usage(*december, (Grouping.KEY,), None) == [UsageLine(Charge(requests=2), key="b")]
    both = (LAST_OF_NOVEMBER, FIRST_OF_DECEMBER)
    assert await ledger.usage(*both, (Grouping.KEY,), "a") == [UsageLine(Charge(requests=1), key="a")]
    assert await ledger.usage(*december, (Grouping.KEY,), "a") == []
