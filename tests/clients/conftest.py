"""The service under test, the drivers, and the ranking that every client has to report."""

from collections.abc import Iterator

import pytest

from tests.clients import asking
from tests.clients.driver import Driver, running
from tests.clients.environments import IndexUnreachable, environment_of, interpreter
from tests.clients.server import ServerAddress, client_server
from tests.conftest import ROOT


@pytest.fixture(scope="session")
def server() -> Iterator[ServerAddress]:
    """The service, with API keys."""
    with client_server() as address:
        yield address


@pytest.fixture(scope="session")
def open_server() -> Iterator[ServerAddress]:
    """The service in open mode."""
    with client_server(open_mode=True) as address:
        yield address


@pytest.fixture(scope="session")
def expected(server: ServerAddress) -> asking.Expected:
    return asking.expected(server)


@pytest.fixture(scope="module")
def driver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """The driver that the module names in DRIVER."""
    name: str = request.module.DRIVER
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    assert capture is not None

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{line}", flush=True)  # noqa: T201 - installing takes long enough to wonder

    try:
        python = interpreter(environment_of(name), ROOT, say)
    except IndexUnreachable as missing:
        pytest.skip(str(missing))
    with running(name, python, tmp_path_factory.mktemp(name)) as started:
        yield started
