from pathlib import Path

import pytest

from serve_app.catalog_file import default_catalog_path, load_catalog
from serve_app.errors import ConfigurationError


def _edited(folder: Path, old: str, new: str) -> tuple[Path, int]:
    """The built-in catalog with one edit, and the line of it."""
    text = default_catalog_path().read_text(encoding="utf-8")
    assert old in text
    path = folder / "catalog.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path, text[: text.index(old)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("mrr10: 39.01", "mrr10: high", "variants.minilm-l6.figures.mrr10: Input should be a valid number"),
        ("parameters: 22713601", "parameters: -1", "variants.minilm-l6.parameters: Input should be greater than 0"),
        ("licence: apache-2.0", "license: apache-2.0", "variants.tinybert-l2-v2.license: Extra inputs"),
    ],
)
def test_an_error_names_file_line_key_and_expectation(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    path, line = _edited(tmp_path, old, new)
    with pytest.raises(ConfigurationError) as caught:
        load_catalog(path)
    assert str(path) in caught.value.message
    assert f"line {line}: {complaint}" in caught.value.message


def test_a_missing_key_is_reported_at_its_block(tmp_path: Path) -> None:
    path, line = _edited(tmp_path, '    revision: "233902d25c440f23af6f7d6e94d2946bac0bee0a"\n', "")
    with pytest.raises(ConfigurationError, match=rf"line {line - 2}: variants.minilm-l6.revision: Field required"):
        load_catalog(path)


def test_a_variant_pasted_twice_is_refused(tmp_path: Path) -> None:
    path, line = _edited(tmp_path, "  minilm-l6:\n", "  minilm-l4:\n")
    with pytest.raises(ConfigurationError, match=f"line {line}: minilm-l4 is there twice"):
        load_catalog(path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("", "is empty"), ("a: [1", "is not YAML"), ("- 1", "is wrong"), ("default: x", "variants: Field required")],
)
def test_a_file_that_is_no_catalog(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=complaint):
        load_catalog(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be read: .*No such file"):
        load_catalog(tmp_path / "none.yaml")
