"""What tests that run commands in their own process need."""

from collections.abc import Iterator

import pytest

from serve_app.cli.client import ServiceClient


@pytest.fixture
def closed_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closes the connections of commands, which otherwise end with the process."""
    made: list[ServiceClient] = []
    init = ServiceClient.__init__

    def remembering(self: ServiceClient, url: str | None) -> None:
        init(self, url)
        made.append(self)

    monkeypatch.setattr(ServiceClient, "__init__", remembering)
    yield
    for client in made:
        client._http.close()
