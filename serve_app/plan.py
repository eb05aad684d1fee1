"""A cascade: a plan of stages that answers under a name of its own. What the catalog says of it comes in, checked.

The first stage scores all documents, each later one the best that the stage before it keeps. It knows variants by
their names alone, and nothing of scores.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=63)]
Alias = Annotated[str, Field(pattern=r"^[\w./-]+$", max_length=200)]


class Block(BaseModel):
    """A part of the catalog."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Stage(Block):
    """One variant of a cascade."""

    variant: Name
    keep: Annotated[int, Field(ge=1)] | None = None
    """How many of its best documents the next stage scores; the last stage has none to give them to."""


class Cascade(Block):
    """Stages, first to last. Clients name it, and are answered with its name, as with a variant's."""

    name: Name
    stages: tuple[Stage, ...]
    aliases: tuple[Alias, ...] = ()

    @model_validator(mode="after")
    def _check_stages(self) -> Self:
        if (given := len(self.stages)) < 2:
            raise ValueError(f"a cascade has two stages or more, and this one has {given}")
        for stage, after in pairwise(self.stages):
            if stage.keep is None:
                raise ValueError(f"the stage {stage.variant} lacks keep: how many of its best {after.variant} scores")
            if after.keep is not None and after.keep > stage.keep:
                raise ValueError(f"the stage {after.variant} keeps {after.keep} of the {stage.keep} that it is given")
        if self.stages[-1].keep is not None:
            raise ValueError(f"the stage {self.stages[-1].variant} is the last, and gives to none what it keeps")
        return self

    @property
    def id(self) -> str:
        """The public identifier: no hub has one."""
        return self.name

    def names(self) -> Iterator[str]:
        """Every name it answers to."""
        yield from (self.name, *self.aliases)

    def __str__(self) -> str:
        return " → ".join(f"{s.variant} → {s.keep}" if s.keep else s.variant for s in self.stages)


def with_names(data: Any, *sections: str) -> Any:
    """The same data, where each block of these sections has its key as its name."""
    if not isinstance(data, dict):
        return data
    return {**data, **{s: _with_names(data[s]) for s in sections if isinstance(data.get(s), dict)}}


def _with_names(blocks: Mapping[Any, Any]) -> dict[Any, Any]:
    return {key: {"name": key, **block} if isinstance(block, dict) else block for key, block in blocks.items()}


def check_names(pairs: Iterable[tuple[str, str]]) -> None:
    """A name, and what has it: no name is of two, in any letter case; raises ValueError."""
    owner: dict[str, str] = {}
    for name, of in pairs:
        if (other := owner.setdefault(name.casefold(), of)) != of:
            raise ValueError(f"{name.casefold()!r} names both {other} and {of}")


def check_cascades(cascades: Mapping[str, Cascade], variants: Collection[str]) -> None:
    """None is called as a variant is, and every stage is a variant; raises ValueError."""
    for cascade in cascades.values():
        if cascade.name in variants:
            raise ValueError(f"cascades.{cascade.name}: a variant has this name")
        for name in (stage.variant for stage in cascade.stages if stage.variant not in variants):
            what = "is a cascade, and a stage is a variant" if name in cascades else "is not among the variants"
            raise ValueError(f"cascades.{cascade.name}.stages names {name!r}, which {what}")
