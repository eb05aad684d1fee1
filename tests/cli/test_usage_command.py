"""`rerank usage` over a service that answers from a table."""

import csv
import importlib
import io
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import typer
from typer.testing import CliRunner, Result

from serve_app.cli.client import ServiceClient, ServiceError
from serve_app.errors import ConfigurationError, RerankError

LINES = [
    {"day": "2026-11-24", "model": "cross-encoder/x", "key": "a", "requests": 1_000, "documents": 2, "pairs": 3}
    | {"tokens": 42, "search_units": 1, "cost_usd": 0.000007},
    {"day": "2026-11-25", "model": "[red]y", "key": "b", "requests": 500, "documents": 4, "pairs": 5}
    | {"tokens": 58, "search_units": 2, "cost_usd": 1.5},
]


command = importlib.import_module("serve_app.cli.usage")
"""The module; in the package its name is that of its command."""


class Service:
    """Remembers what it is asked for and answers with `lines`."""

    def __init__(self) -> None:
        self.lines = LINES
        self.asked: list[dict[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("GET", "/v1/usage")
        asked = dict(request.url.params)
        self.asked.append(asked)
        ungrouped = {"day", "model", "key"} - set(asked["group_by"].split(","))
        data = [{name: value for name, value in line.items() if name not in ungrouped} for line in self.lines]
        return httpx.Response(200, json={"object": "usage", "data": data})


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    service = Service()

    class Client(ServiceClient):
        def __init__(self, url: str | None) -> None:
            super().__init__(url)
            self._http = httpx.Client(base_url=self._url, transport=httpx.MockTransport(service))

    monkeypatch.setattr(command, "ServiceClient", Client)
    return service


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(command.usage)
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "160"})


def refused(*arguments: str) -> RerankError:
    error = run(*arguments).exception
    assert isinstance(error, RerankError)
    return error


def test_a_table_with_a_total(service: Service) -> None:
    result = run("--from", "2026-11-24", "--to", "2026-11-25", "--by", "model,key")
    assert result.exit_code == 0, result.output
    assert service.asked == [{"from": "2026-11-24", "to": "2026-11-25", "group_by": "model,key"}]
    header, *rows = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert header == "model key requests documents pairs tokens search units US$"
    assert rows == [
        "cross-encoder/x a 1,000 2 3 42 1 0.000007",
        "[red]y b 500 4 5 58 2 1.500000",
        "total 1,500 6 8 100 3 1.500007",
    ]


def test_by_default_it_is_this_month_by_day_and_model(service: Service) -> None:
    before = datetime.now(UTC).date()
    assert "day" in run().stdout
    [asked] = service.asked
    assert asked["group_by"] == "day,model"
    assert asked["to"] in (before.isoformat(), datetime.now(UTC).date().isoformat())
    assert asked["from"] == asked["to"][:8] + "01"


def test_csv_on_stdout(service: Service) -> None:
    result = run("--by", "day,key", "--csv", "-")
    assert list(csv.reader(io.StringIO(result.stdout))) == [
        ["day", "key", "requests", "documents", "pairs", "tokens", "search_units", "cost_usd"],
        ["2026-11-24", "a", "1000", "2", "3", "42", "1", "0.000007000"],
        ["2026-11-25", "b", "500", "4", "5", "58", "2", "1.500000000"],
    ]


def test_csv_in_a_file(service: Service, tmp_path: Path) -> None:
    result = run("--by", "key", "--csv", str(tmp_path / "usage.csv"))
    assert (result.exit_code, result.output) == (0, "")
    with (tmp_path / "usage.csv").open(newline="") as file:
        assert [row["key"] for row in csv.DictReader(file)] == ["a", "b"]


def test_csv_that_cannot_be_written(service: Service, tmp_path: Path) -> None:
    error = refused("--csv", str(tmp_path / "none" / "usage.csv"))
    assert isinstance(error, ServiceError)
    assert "usage.csv cannot be written: No such file or directory" in str(error)


def test_nothing_was_used(service: Service) -> None:
    service.lines = []
    said = run("--from", "2026-11-01", "--to", "2026-11-02").stdout
    assert said == "nothing was used from 2026-11-01 to 2026-11-02 (UTC)\n"


@pytest.mark.parametrize("by", ["week", "day,day", "", "day,"])
def test_groupings_that_there_are_not(service: Service, by: str) -> None:
    error = refused("--by", by)
    assert isinstance(error, ConfigurationError)
    assert str(error) == f"--by '{by}' cannot be read: it takes day, model, key, each once at most"
    assert service.asked == []


def test_days_in_the_wrong_order(service: Service) -> None:
    error = refused("--from", "2026-11-02", "--to", "2026-11-01")
    assert str(error) == "--from 2026-11-02 is after --to 2026-11-01: name an earlier day first"
    assert service.asked == []


def test_a_day_that_is_none() -> None:
    result = run("--from", "yesterday")
    assert result.exit_code == 2
    assert "%Y-%m-%d" in result.output


def test_a_narrow_terminal_cuts_no_figure(service: Service) -> None:
    app = typer.Typer()
    app.command()(command.usage)
    for columns in ("80", "40"):
        printed = CliRunner().invoke(app, ["--by", "day,model,key"], env={"COLUMNS": columns}).stdout
        assert "…" not in printed
        for figure in ("2026-11-25", "1,500", "100", "1.500007"):
            assert figure in printed
