"""The commands as a user types them, each in a process of its own."""

import gzip
import json
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.running import Running, command, free_port, refused, run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--help"], ["serve", "models", "pull", "verify", "query", "eval", "usage", "keys", "bench"]),
        (["serve", "--help"], ["--models-dir", "--variants", "127.0.0.1", "--keys", "--open"]),
        (["query", "--help"], ["QUERY", "--top-n", "RERANK_URL"]),
        (["eval", "--help"], ["--qrels", "candidates"]),
        (["models", "--help"], ["Pareto"]),
        (["keys", "--help"], ["create", "list", "revoke", "rotate"]),
        (["usage", "--help"], ["--from", "--by", "--csv"]),
        (["pull", "--help"], ["MODEL", "--to", "--all", "RERANK_MODELS_DIR", "broken off"]),
        (["verify", "--help"], ["MODEL", "--models-dir", "published"]),
        (["bench", "--help"], ["MODEL", "--run", "--qrels", "sentence-transformers", "--replicas", "Peak"]),
    ],
)
def test_help_suffices(arguments: list[str], said: list[str]) -> None:
    result = run(*arguments)
    assert result.returncode == 0
    for part in said:
        assert part in result.stdout


def test_models_marks_the_pareto_front_and_the_default() -> None:
    rows = {line.split()[1]: line for line in run("models").stdout.splitlines() if line.startswith(("★", " "))}
    assert rows["minilm-l12"].startswith("★ ")
    assert rows["rerank-tiny"].startswith(" ●")
    assert rows["minilm-l6"].startswith("★ ")
    assert "1,800" in rows["minilm-l6"]
    assert len([line for line in run("models").stdout.splitlines() if "/" in line and "docs/s" not in line]) >= 15


def test_models_shows_cascades_without_figures_and_their_stages() -> None:
    printed = run("models").stdout.splitlines()
    row = next(line for line in printed if line.split()[:1] == ["tiny-then-l12"] and "cascade" not in line)
    assert row.split() == ["tiny-then-l12", "accurate", "–", "–", "–", "≤", "0.0378", "37.7M"]
    told = "tiny-then-l12 is a cascade: rerank-tiny → 20 → minilm-l12; its price is the most that it can be."
    assert told in printed


def test_models_reads_another_catalog(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_text("default: x\n")
    error = refused(run("models", "--catalog", str(tmp_path / "catalog.yaml")))
    assert "variants: Field required" in error


def test_query_ranks_lines_of_files_and_stdin(service: Running, tmp_path: Path) -> None:
    (tmp_path / "documents.txt").write_text("the sea\n\nbread [bold]music[/bold]\n")
    result = run("query", "the river", str(tmp_path / "documents.txt"), "-", stdin="people\n", RERANK_URL=service.url)
    assert result.returncode == 0, result.stderr
    header, *rows, footer = result.stdout.splitlines()
    assert header.split() == ["rank", "score", "line", "document"]
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    scores = [float(row.split()[1]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    path = tmp_path / "documents.txt"
    expected = {f"{path}:1 the sea", f"{path}:3 bread [bold]music[/bold]", "-:1 people"}
    assert {" ".join(row.split()[2:]) for row in rows} == expected
    assert "rerank-serve/rerank-tiny" in footer


def test_query_repeats_what_the_service_says(service: Running) -> None:
    error = refused(run("query", "q", "-", "--model", "minilm-l7", stdin="a", RERANK_URL=service.url))
    assert "there is no model 'minilm-l7'" in error


def test_query_without_a_service_names_the_way_out() -> None:
    error = refused(run("query", "q", "-", "--url", "http://127.0.0.1:9", stdin="a"))
    assert "no service answers at http://127.0.0.1:9" in error
    assert "rerank serve" in error


def test_query_of_something_that_is_no_rerank_service(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        url = f"http://127.0.0.1:{other.getsockname()[1]}"
        process = subprocess.Popen(
            [command(), "query", "q", "-", "--url", url], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        process.stdin.write("a\n")
        process.stdin.close()
        connection, _ = other.accept()
        connection.recv(4_096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        assert process.stderr is not None
        assert "and not as a rerank service does" in process.stderr.read().replace("\n", " ")
        connection.close()
        assert process.wait(30) == 1
        process.stderr.close()


def _write_run(folder: Path, candidates: Mapping[str, list[str]], name: str = "run.jsonl.gz") -> Path:
    lines = [
        json.dumps(
            {"qid": n, "query": query, "candidates": [{"docid": f"d{i}", "text": t} for i, t in enumerate(texts)]}
        )
        for n, (query, texts) in enumerate(candidates.items())
    ]
    path = folder / name
    path.write_bytes(gzip.compress("\n".join(lines).encode()) if name.endswith("gz") else "\n".join(lines).encode())
    return path


@pytest.mark.slow
def test_eval_measures_what_the_service_answers(service: Running, tmp_path: Path) -> None:
    texts = ["the sea", "bread", "music of people"]
    body = {"model": "minilm-l12", "query": "the river", "documents": texts}
    answer = service.http.post("/v1/rerank", json=body).json()
    best, *_, worst = [result["index"] for result in answer["results"]]
    path = _write_run(tmp_path, {"the river": texts})
    qrels = tmp_path / "qrels.txt"
    for relevant, ndcg, mrr in ((best, "1.0000", "1.0000"), (worst, "0.5000", "0.3333")):
        qrels.write_text(f"0 0 d{relevant} 1\n")
        result = run("eval", str(path), "--qrels", str(qrels), "--model", "minilm-l12", RERANK_URL=service.url)
        assert result.returncode == 0, result.stderr
        row = next(line for line in result.stdout.splitlines() if line.startswith("cross-encoder/ms-marco-MiniLM-L12"))
        assert row.split()[1:3] == [ndcg, mrr]
        assert "MRR@10 (grade ≥ 1)" in result.stdout
        assert "1/1" in result.stderr


@pytest.mark.parametrize(
    ("line", "judgement", "said"),
    [
        ('{"qid": 1}', "1 0 d 1", "line 1: query: Field required; a line is {qid, query"),
        ("{", "1 0 d 1", "line 1: the line: Invalid JSON"),
        ("", "1 0 d 1", "is empty"),
        (
            '{"qid": "1", "query": "q", "candidates": [{"docid": 7, "text": "a"}]}',
            "1 d 1",
            "line 1 is not `qid 0 docid",
        ),
        ('{"qid": "1", "query": "q", "candidates": [{"docid": 7, "text": "a"}]}', "", "are empty"),
        ('{"qid": "1", "query": "q", "candidates": []}', "1 0 d 1", "candidates: List should have at least 1 item"),
    ],
)
def test_eval_says_which_line_is_wrong(tmp_path: Path, line: str, judgement: str, said: str) -> None:
    (tmp_path / "run.jsonl").write_text(line)
    (tmp_path / "qrels.txt").write_text(judgement)
    error = refused(run("eval", str(tmp_path / "run.jsonl"), "--qrels", str(tmp_path / "qrels.txt")))
    assert said in error.replace("\n", " ")


def test_eval_of_files_that_are_not_there(tmp_path: Path) -> None:
    assert "cannot be read" in refused(run("eval", "none.jsonl.gz", "--qrels", "none.txt"))


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        ([], {}, "nothing says who may ask. For this machine alone: --open. Else make a key"),
        (["--open", "--host", "0.0.0.0"], {}, "--open would answer whoever reaches 0.0.0.0: use --keys, or --force"),
        (["--open", "--keys", "k.json"], {}, "API keys and --open exclude each other"),
        (["--keys", "none.json"], {}, "none.json"),
        (["--open", "--variants", "minilm-l7"], {}, "the catalog has no variant 'minilm-l7'"),
        (["--open", "--catalog", "none.yaml"], {}, "catalog none.yaml cannot be read"),
        (["--open", "--catalog", "[red].yaml"], {}, "catalog [red].yaml cannot be read"),
        ([], {"RERANK_DTYPE": "fp8"}, "RERANK_DTYPE: Input should be 'fp32', 'fp16', 'bf16' or 'int8'"),
        (["--open", "--force", "--host", "192.0.2.77"], {}, "cannot listen on 192.0.2.77:8000"),
    ],
)
def test_serve_refuses_what_cannot_work_before_it_starts(
    arguments: list[str], environment: dict[str, str], said: str
) -> None:
    assert said in refused(run("serve", *arguments, **environment)).replace("\n", " ")


def test_serve_refuses_a_gpu_that_is_not_there() -> None:
    if Path("/dev/nvidia0").exists():
        pytest.skip("needs a machine without a GPU")
    assert "Ray sees no GPU here" in refused(run("serve", "--open", "--port", str(free_port()), RERANK_DEVICE="cuda"))


def test_serve_names_a_port_that_is_taken(service: Running) -> None:
    port = service.url.rsplit(":", 1)[1]
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use)" in refused(
        run("serve", "--open", "--port", port)
    )
