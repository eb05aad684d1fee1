"""Placement: which replicas share a V100 16 GB. Variants come in; GPUs with their replicas go out, or what is too much.

Memory is reckoned from the catalog: weights from `parameters`, the working memory of a forward pass from its shape and
token budget. These are bounds from above, not measurements. It knows nothing of pods, and nothing of load: replicas
that the autoscaler adds later have room wherever a share is free, since every replica fits its own share.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from serve_app.catalog import Variant
from serve_app.errors import ConfigurationError

GPU_BYTES = 16_160 * 2**20
"""What a V100 16 GB has for processes, by nvidia-smi."""
PROCESS_BYTES = 500 * 2**20
"""CUDA context, kernels and cuBLAS workspace of one process: an assumption, on the high side for Volta."""
CPUS_OF_A_GPU = 5
"""CPUs of a pod with one V100, one a replica: the smallest such node (AKS, NC6s_v3) has six."""
MAX_TOKENS = 512
"""The longest row: each token attends to so many."""
_GIGABYTE = 1e9


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that a replica takes of a GPU."""

    weights: int
    working: int
    process: int = PROCESS_BYTES

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.working + self.process

    def __str__(self) -> str:
        parts = ((self.weights, "weights"), (self.working, "activations"), (self.process, "CUDA"))
        told = " + ".join(f"{size / _GIGABYTE:.2f} ({of})" for size, of in parts)
        return f"{told} = {self.total / _GIGABYTE:.2f} GB"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One V100 and the variants whose replicas share it."""

    replicas: tuple[Variant, ...] = ()

    @property
    def share(self) -> float:
        """How much of it is taken, from 0 to 1."""
        return sum(variant.serving.gpu_share for variant in self.replicas)

    def has_room_for(self, variant: Variant) -> bool:
        """Whether a replica of it fits beside those that are here."""
        # Shares such as 0.33 three times leave a rest that floats do not write exactly.
        return self.share + variant.serving.gpu_share < 1 + 1e-6 and len(self.replicas) < CPUS_OF_A_GPU


def memory_of(variant: Variant) -> Memory:
    """What a replica needs at most. The widest moment of a layer is its feed-forward part, or its attention scores.

    In a layer live, for each token: input, query, key, value, context and output of `hidden`, the feed-forward part
    before and after its activation, and, where no kernel fuses attention (sm_70), a row of scores for each head, in
    fp32 for the softmax as well.
    """
    width = 4 if variant.serving.dtype == "fp32" else 2
    shape, tokens = variant.shape, variant.serving.token_budget
    layer = width * (6 * shape.hidden + 2 * shape.feed_forward)
    scores = (width + 4) * shape.heads * MAX_TOKENS
    return Memory(weights=variant.parameters * width, working=tokens * (layer + scores))


def place(replicas: Iterable[Variant], most_gpus: int) -> tuple[Gpu, ...]:
    """The largest share first, each on the first GPU that has room: as Serve packs them.

    Raises ConfigurationError with the sum that does not fit: a replica's memory in its share, or all of them on
    `most_gpus`.
    """
    largest_first = sorted(replicas, key=lambda variant: -variant.serving.gpu_share)
    gpus: list[Gpu] = []
    for variant in largest_first:
        require_share(variant)
        place_on = next((index for index, gpu in enumerate(gpus) if gpu.has_room_for(variant)), None)
        if place_on is None:
            gpus.append(Gpu((variant,)))
        else:
            gpus[place_on] = Gpu((*gpus[place_on].replicas, variant))
    if len(gpus) > most_gpus:
        told = " + ".join(f"{variant.serving.gpu_share:g} ({variant.name})" for variant in largest_first)
        total = sum(variant.serving.gpu_share for variant in largest_first)
        raise ConfigurationError(
            f"what starts at once does not fit: {told} = {total:.2f} takes {len(gpus)} V100s, with at most "
            f"{CPUS_OF_A_GPU} replicas on each, and there may be {most_gpus}: allow more, or choose fewer variants"
        )
    return tuple(gpus)


def require_share(variant: Variant) -> None:
    """Raise ConfigurationError unless a replica's memory fits its share of a V100."""
    needed, share = memory_of(variant), variant.serving.gpu_share
    if needed.total > share * GPU_BYTES:
        raise ConfigurationError(
            f"{variant.name} does not fit its share of a V100: {needed}, and {share:g} of 16 GB is "
            f"{share * GPU_BYTES / _GIGABYTE:.2f} GB: raise its gpu_share, or lower its token_budget"
        )
