"""x W + b, and gelu of it if wanted, in the fastest form that a device has for the dtype.

`x` is [tokens, in]; the answer [tokens, out] in the same dtype.
"""

from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

ROWS_HINT = 2_048
"""Tokens for which oneDNN lays weights out; any other number works too."""
STEPS = 127
"""Of int8 to each side of zero."""
ZERO = 128
"""Where zero lies in uint8: oneDNN is fast for unsigned inputs, and takes seconds for signed ones (torch 2.13)."""


class Product(Protocol):
    """A product with fixed weights."""

    def __call__(self, x: Tensor) -> Tensor:
        """[tokens, in] → [tokens, out]."""


def product(*linears: nn.Linear, gelu: bool = False, int8: bool = False) -> Product:
    """One product for linear layers that have the same input; on a CPU, `int8` is possible."""
    weight = torch.cat([linear.weight.detach() for linear in linears])
    bias = torch.cat([linear.bias.detach() for linear in linears])
    if int8:
        return Int8Product(weight, bias, gelu)
    one_dnn = weight.device.type == "cpu" and weight.dtype == torch.bfloat16
    return (OneDnnProduct if one_dnn else PlainProduct)(weight, bias, gelu)


class PlainProduct:
    """As PyTorch has it."""

    def __init__(self, weight: Tensor, bias: Tensor, gelu: bool) -> None:
        self._weight, self._bias, self._gelu = weight, bias, gelu

    def __call__(self, x: Tensor) -> Tensor:
        """[tokens, in] → [tokens, out]."""
        made = functional.linear(x, self._weight, self._bias)
        return functional.gelu(made) if self._gelu else made


class OneDnnProduct:
    """With weights in oneDNN's own layout, and gelu inside the product."""

    def __init__(self, weight: Tensor, bias: Tensor, gelu: bool) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS_HINT)
        self._bias, self._attribute = bias, "gelu" if gelu else "none"

    def __call__(self, x: Tensor) -> Tensor:
        """[tokens, in] → [tokens, out]."""
        # Exact gelu: "none" is its approximation.
        made = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, self._attribute, [], "none")
        return cast(Tensor, made)


class Int8Product:
    """In eight bits: one scale for each output of the weights, and one for each token, found as it comes.

    A scale of the whole input would make a score depend on what else is in the batch.
    """

    def __init__(self, weight: Tensor, bias: Tensor, gelu: bool) -> None:
        scales = weight.float().abs().amax(1).clamp_(min=torch.finfo(torch.float32).tiny) / STEPS
        steps = (weight.float() / scales[:, None]).round_().to(torch.int8)
        self._weight = torch.ops.onednn.qlinear_prepack(steps, [ROWS_HINT, weight.shape[1]])
        self._scales, self._zeros = scales, torch.zeros(len(scales), dtype=torch.int64)
        self._bias, self._gelu = bias, gelu

    def __call__(self, x: Tensor) -> Tensor:
        """[tokens, in] → [tokens, out]."""
        wide = x.to(torch.float32, copy=True)
        largest = torch.maximum(wide.amax(-1, keepdim=True), wide.amin(-1, keepdim=True).neg_())
        largest.clamp_(min=torch.finfo(torch.float32).tiny)
        # -128 ^ n is n + 128 as uint8. Straight from fp32 to uint8 takes seven times as long.
        steps = wide.mul_(STEPS / largest).round_().to(torch.int8).bitwise_xor_(-ZERO).view(torch.uint8)
        made = torch.ops.onednn.qlinear_pointwise(
            steps, 1.0, ZERO, self._weight, self._scales, self._zeros, None, 1.0, 0, x.dtype, "none", [], ""
        )
        made = torch.addcmul(self._bias, made, (largest / STEPS).to(x.dtype), out=made)
        return cast(Tensor, torch.ops.aten.gelu_(made) if self._gelu else made)
