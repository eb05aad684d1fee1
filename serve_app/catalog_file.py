"""Reading a catalog and routes from YAML, with errors that name the file, the line, the key and what was expected."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from serve_app.catalog import Catalog
from serve_app.errors import ConfigurationError
from serve_app.routes import RouteTable

_SOURCE_TREE = Path(__file__).parent.parent / "configs"
Loaded = TypeVar("Loaded", bound=BaseModel)
_INSTALLED = Path(__file__).parent / "configs"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml reads the catalog in a tenth of the time; not every build of PyYAML has it."""


def shipped_config(name: str) -> Path:
    """A file of `configs/` that comes with the package: of the source tree, or of the wheel."""
    in_tree = _SOURCE_TREE / name  # beside an installed package, some other one may have left a folder `configs`
    return in_tree if in_tree.is_file() else _INSTALLED / name


def default_catalog_path() -> Path:
    """The catalog that comes with the package."""
    return shipped_config("catalog.yaml")


def load_catalog(path: Path) -> Catalog:
    """Read and check a catalog file; raises ConfigurationError that lists everything wrong with it."""
    return _load(path, "catalog", Catalog)


def load_routes(path: Path, catalog: Catalog) -> RouteTable:
    """Read a file of routes and check it against the catalog; raises ConfigurationError as well."""
    try:
        return _load(path, "routes", RouteTable).checked(catalog)
    except ValueError as error:
        raise ConfigurationError(_report(f"routes {path}", [str(error)])) from error


def _load(path: Path, kind: str, model: type[Loaded]) -> Loaded:
    what = f"{kind} {path}"
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=_LOADER)
        data = yaml.load(text, Loader=_LOADER)  # noqa: S506 - either is safe
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{what} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{what} is not YAML: {error}") from error
    if tree is None:
        raise ConfigurationError(f"{what} is empty")
    # YAML keeps the last of two equal keys, so a block pasted twice would silently lose its first half.
    if twice := [f"line {line}: {key} is there twice" for line, key in _repeated_keys(tree)]:
        raise ConfigurationError(_report(what, twice))
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigurationError(
            _report(what, [_sentence(tree, e["loc"], e["msg"]) for e in error.errors()])
        ) from error


def _report(what: str, problems: Sequence[str]) -> str:
    return "\n  ".join([f"{what} is wrong:", *problems])


def _sentence(tree: yaml.Node, location: Sequence[str | int], expected: str) -> str:
    expected = expected.removeprefix("Value error, ")
    if not location:
        return expected
    key = ".".join(str(part) for part in location if part != "[key]")
    return f"line {_line_of(tree, location)}: {key}: {expected}"


def _line_of(node: yaml.Node, location: Sequence[str | int]) -> int:
    """Line (from 1) of the key that `location` leads to, or of the deepest part of it that exists."""
    line = node.start_mark.line + 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            entry = next((e for e in node.value if e[0].value == str(part)), None)
            if entry is None:
                break
            line, node = entry[0].start_mark.line + 1, entry[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _repeated_keys(node: yaml.Node) -> Iterator[tuple[int, str]]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield key.start_mark.line + 1, key.value
            seen.add(key.value)
            yield from _repeated_keys(value)
