import pytest

from serve_app.errors import ConfigurationError
from serve_app.settings import read_settings


def test_defaults_listen_on_loopback() -> None:
    settings = read_settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert (settings.limits.max_documents, settings.limits.max_body_bytes) == (10_000, 8 * 2**20)


def test_the_environment_reaches_nested_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_LIMITS__MAX_DOCUMENTS", "500")
    monkeypatch.setenv("RERANK_DTYPE", "fp32")
    settings = read_settings()
    assert (settings.limits.max_documents, settings.dtype) == (500, "fp32")


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("RERANK_PORT", "99999", "RERANK_PORT: Input should be less than or equal to 65535"),
        ("RERANK_LIMITS__MAX_DOCUMENTS", "0", "RERANK_LIMITS__MAX_DOCUMENTS: Input should be greater than 0"),
        ("RERANK_DTYPE", "fp8", "RERANK_DTYPE: Input should be 'fp32', 'fp16', 'bf16' or 'int8'"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, complaint: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=complaint):
        read_settings()
