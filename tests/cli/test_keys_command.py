"""`rerank keys`, in process: what it prints where, and what it refuses."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from serve_app.cli.keys import keys
from serve_app.errors import ConfigurationError
from serve_app.key_file import KeyTerms, Scope, add_key, read_keys, split_key

LONG_AGO = datetime(2020, 1, 2, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(keys, arguments, env={"COLUMNS": "200", "NO_COLOR": "1"})


def done(*arguments: str) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result


def refused(*arguments: str) -> str:
    """The sentence that `rerank` ends with."""
    error = run(*arguments).exception
    assert isinstance(error, ConfigurationError), repr(error)
    return str(error)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ([], ["create", "list", "revoke", "rotate", "RERANK_KEYS"]),
        (["create"], ["NAME", "rerank|admin", "--model", "--default-model", "xinference", "--expires-in-days", "USD"]),
        (["create"], ["--requests-per-minute", "--documents-per-minute", "--concurrent-documents", "only this once"]),
        (["list"], ["--file", "keys.json"]),
        (["revoke"], ["ID", "--file"]),
        (["rotate"], ["ID", "--overlap-hours", "only this once"]),
    ],
)
def test_help_suffices(command: list[str], said: list[str]) -> None:
    printed = done(*command, "--help").stdout
    for part in said:
        assert part in printed


def test_create_prints_the_key_alone_and_the_rest_on_stderr(path: Path) -> None:
    result = done("create", "the [b]web[/b]", "--file", str(path))
    text = result.stdout.removesuffix("\n")
    parts = split_key(text)
    assert parts is not None
    (record,) = read_keys(path)
    assert record.accepts(parts[1], datetime.now(UTC))
    assert (record.id, record.name, record.scopes) == (parts[0], "the [b]web[/b]", (Scope.RERANK,))
    assert result.stderr == f"the key of the [b]web[/b], shown only this once; {path} holds a hash of it\n"
    assert (datetime.now(UTC) - record.created) < timedelta(minutes=1)


def test_every_option_of_create_is_written(path: Path) -> None:
    options = "--scope admin --scope rerank --model minilm-l6 --model minilm-l2-v2 --dialect weaviate"
    options += " --default-model cross-encoder/ms-marco-MiniLM-L6-v2 --requests-per-minute 1"
    options += " --documents-per-minute 2 --concurrent-documents 3 --monthly-budget-usd 0.5 --expires-in-days 4"
    done("create", "web", "--file", str(path), *options.split())
    (record,) = read_keys(path)
    assert KeyTerms.model_validate(record.model_dump(include=set(KeyTerms.model_fields))) == KeyTerms(
        name="web",
        scopes=(Scope.ADMIN, Scope.RERANK),
        models=("minilm-l6", "minilm-l2-v2"),
        default_model="cross-encoder/ms-marco-MiniLM-L6-v2",
        dialect="weaviate",
        requests_per_minute=1,
        documents_per_minute=2,
        concurrent_documents=3,
        monthly_budget_usd=0.5,
        expires=record.created + timedelta(days=4),
    )


def test_a_cascade_may_be_a_keys_default(path: Path) -> None:
    done("create", "web", "--file", str(path), "--default-model", "l2-then-l12")
    assert read_keys(path)[0].default_model == "l2-then-l12"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--model", "minilm-l7"], "the catalog has no model 'minilm-l7'; the nearest names are minilm-l"),
        (["--default-model", "minilm-l7"], "the catalog has no model 'minilm-l7'"),
        (["--model", "¿"], "the catalog has no model '¿'; `rerank models` lists them"),
        (["--model", "minilm-l6", "--default-model", "minilm-l2"], "minilm-l2 is not among the models"),
        (["--monthly-budget-usd", "0"], "monthly_budget_usd: Input should be greater than 0"),
        (["--monthly-budget-usd", "nan"], "monthly_budget_usd: Input should be a finite number"),
    ],
)
def test_a_key_that_could_not_work_is_not_made(path: Path, options: list[str], complaint: str) -> None:
    assert complaint in refused("create", "web", "--file", str(path), *options)
    assert not path.exists()


@pytest.mark.parametrize(
    "options",
    [["--scope", "root"], ["--dialect", "cohere"], ["--requests-per-minute", "0"], ["--expires-in-days", "0"]],
)
def test_a_wrong_option_is_named(path: Path, options: list[str]) -> None:
    result = run("create", "web", "--file", str(path), *options)
    assert result.exit_code == 2
    assert options[0] in result.stderr
    assert not path.exists()


def test_list_shows_terms_and_states_and_no_hash(path: Path) -> None:
    terms = KeyTerms(name="old", expires=LONG_AGO, models=("minilm-l6",), default_model="minilm-l6")
    add_key(path, terms, LONG_AGO)
    done("create", "new", "--file", str(path), "--documents-per-minute", "12000", "--monthly-budget-usd", "5")
    done("create", "[b]gone", "--file", str(path))
    gone = read_keys(path)[2].id
    assert done("revoke", gone, "--file", str(path)).stderr == f"the key {gone} of [b]gone is revoked\n"
    printed = done("list", "--file", str(path)).stdout
    header, old, new, revoked = (line.split() for line in printed.splitlines())
    assert header == ["id", "name", "scopes", "models", "limits", "budget", "created", "state"]
    records = read_keys(path)
    today = f"{records[1].created:%Y-%m-%d}"
    assert old[1:] == ["old", "rerank", "minilm-l6;", "default", "minilm-l6", "–", "–", "2020-01-02", "expired"]
    assert new == [records[1].id, *f"new rerank all 12,000 documents/min 5.00 $/month {today} valid".split()]
    assert revoked == [gone, *f"[b]gone rerank all – – {today} revoked".split()]
    for record in records:
        assert record.hash not in printed
        assert record.salt not in printed


def test_rotate_prints_another_key_of_the_same_id(path: Path) -> None:
    old = done("create", "web", "--file", str(path)).stdout.strip()
    identity = read_keys(path)[0].id
    result = done("rotate", identity, "--file", str(path), "--overlap-hours", "2")
    new = split_key(result.stdout.removesuffix("\n"))
    assert new is not None
    assert (new[0], new[1] in old) == (identity, False)
    (record,) = read_keys(path)
    assert record.previous is not None
    left = record.previous.until - datetime.now(UTC)
    assert timedelta(hours=1.9) < left <= timedelta(hours=2)
    assert "shown only this once" in result.stderr
    done("rotate", identity, "--file", str(path))
    assert read_keys(path)[0].previous is None


@pytest.mark.parametrize("command", ["revoke", "rotate"])
def test_an_unknown_id_is_refused(path: Path, command: str) -> None:
    add_key(path, KeyTerms(name="web"), LONG_AGO)
    assert "has no key of that id; `rerank keys list` shows the ids" in refused(command, "x", "--file", str(path))


def test_list_without_a_file_names_the_way_out(path: Path) -> None:
    assert f"there is no key file {path}: `rerank keys create` makes one" in refused("list", "--file", str(path))


def test_the_file_is_that_of_the_environment_or_in_this_folder(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done("create", "here")
    assert [record.name for record in read_keys(path)] == ["here"]
    monkeypatch.setenv("RERANK_KEYS", str(tmp_path / "other.json"))
    done("create", "there")
    assert [record.name for record in read_keys(tmp_path / "other.json")] == ["there"]
