"""The import contracts of pyproject.toml, which the house stands on."""

from importlinter.cli import lint_imports

from tests.conftest import ROOT


def test_the_import_contracts_hold() -> None:
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0
