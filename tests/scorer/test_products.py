import pytest
import torch
from torch import nn

from serve_app.scorer.engine import computes_int8
from serve_app.scorer.products import Int8Product, OneDnnProduct, PlainProduct, Product, product

needs_vnni = pytest.mark.skipif(not computes_int8("cpu"), reason="this CPU has no VNNI")


def _layers(dtype: torch.dtype) -> list[nn.Linear]:
    torch.manual_seed(1)
    return [nn.Linear(64, 48).to(dtype) for _ in range(2)]


def _exact(layers: list[nn.Linear], x: torch.Tensor, gelu: bool) -> torch.Tensor:
    made = torch.cat([layer.float()(x.float()) for layer in layers], dim=-1)
    return nn.functional.gelu(made) if gelu else made


@torch.inference_mode()
@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize(
    ("dtype", "kind", "rtol"), [(torch.float32, PlainProduct, 1e-5), (torch.bfloat16, OneDnnProduct, 2**-8)]
)
def test_the_product_is_that_of_the_layers(gelu: bool, dtype: torch.dtype, kind: type[Product], rtol: float) -> None:
    made = product(*_layers(dtype), gelu=gelu)
    assert isinstance(made, kind)
    x = torch.randn(21, 64).to(dtype)
    # One rounding to bf16: 8 bits. The approximation of gelu is further off near -2.
    torch.testing.assert_close(made(x).float(), _exact(_layers(dtype), x, gelu), rtol=rtol, atol=1e-4)


@needs_vnni
@torch.inference_mode()
@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_int8_is_off_by_what_eight_bits_lose(gelu: bool, dtype: torch.dtype) -> None:
    """Steps of 1/127 of the largest on both sides, 64 of them added: a standard deviation of about 0.007 here."""
    made = product(*_layers(dtype), gelu=gelu, int8=True)
    assert isinstance(made, Int8Product)
    x = torch.randn(500, 64).to(dtype)
    off = made(x).float() - _exact(_layers(dtype), x, gelu)
    assert 1e-4 < float(off.std()) < 0.012
    assert abs(float(off.mean())) < 1e-3


@needs_vnni
@torch.inference_mode()
def test_int8_of_a_token_does_not_depend_on_the_others() -> None:
    made = product(*_layers(torch.float32), gelu=True, int8=True)
    x = torch.randn(40, 64)
    beside_large_ones = torch.cat([x, 1_000 * torch.randn(9, 64)])
    assert torch.equal(made(x), made(beside_large_ones)[:40])
    assert torch.equal(made(x)[7:8], made(x[7:8]))


@needs_vnni
@torch.inference_mode()
def test_int8_of_nothing_is_the_bias() -> None:
    """Tokens and outputs without any size divide by no zero."""
    [layer] = _layers(torch.float32)[:1]
    layer.weight.data[3] = 0
    made = product(layer, int8=True)
    torch.testing.assert_close(made(torch.zeros(2, 64)), layer.bias.expand(2, 48))
    assert bool(torch.isfinite(made(torch.randn(2, 64))).all())
