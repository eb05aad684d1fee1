import pytest

from serve_app.scorer.budget import sizes, smallest_nearly_fastest


@pytest.mark.parametrize(
    ("most", "tried"),
    [
        (512, [512]),
        (2_048, [2_048]),
        (8_192, [2_048, 4_096, 8_192]),
        (10_000, [2_048, 4_096, 8_192, 10_000]),
    ],
)
def test_sizes_double_up_to_the_most(most: int, tried: list[int]) -> None:
    assert list(sizes(most)) == tried


def test_the_fewest_tokens_with_nearly_the_best_rate() -> None:
    # MiniLM-L12 in fp16 on an H200: 33,074, 55,964 and 58,978 documents/s
    seconds = {8_192: 2.68e-3, 32_768: 6.38e-3, 131_072: 24.22e-3}
    assert smallest_nearly_fastest(seconds) == 32_768


def test_a_device_that_gets_slower_with_size_is_given_little() -> None:
    assert smallest_nearly_fastest({2_048: 0.1, 4_096: 0.2, 8_192: 0.5}) == 2_048
