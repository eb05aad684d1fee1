"""`rerank eval`: re-rank a run through a running service and measure the new order."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import ir_measures
import typer
from ir_measures import RR, nDCG
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from serve_app.cli.client import ServiceClient
from serve_app.errors import ConfigurationError
from serve_app.run_file import Judgements, RunLine, Scores, read_judgements, read_run

RELEVANT_GRADE = 2
"""TREC Deep Learning counts a passage as relevant from grade 2 on; of judgements that are 0 or 1, 1 counts."""


def evaluate(
    run: Annotated[
        Path, typer.Argument(metavar="RUN.jsonl[.gz]", help="Lines {qid, query, candidates: [{docid, text}]}.")
    ],
    qrels: Annotated[Path, typer.Option(help="Judgements in TREC format: qid 0 docid grade.")],
    model: Annotated[str | None, typer.Option(help="Variant, alias or tier:NAME. Default: the default route.")] = None,
    url: Annotated[
        str | None, typer.Option(help="The service. Default: RERANK_URL, else http://127.0.0.1:8000.")
    ] = None,
) -> None:
    """Re-rank a run through a running service; print NDCG@10, MRR@10 and documents/s."""
    queries = list(read_run(run))
    if not queries:
        raise ConfigurationError(f"the run {run} is empty")
    judged = read_judgements(qrels)
    began = time.perf_counter()
    reranked, answered_by = _rerank(ServiceClient(url), queries, model)
    seconds = time.perf_counter() - began
    retrieved = {q.qid: _by_rank([c.docid for c in q.candidates]) for q in queries}
    documents = sum(len(q.candidates) for q in queries)
    graded = max(grade for grades in judged.values() for grade in grades.values()) >= RELEVANT_GRADE
    relevant = RELEVANT_GRADE if graded else 1

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("order", no_wrap=True)
    for heading in ("NDCG@10", f"MRR@10 (grade ≥ {relevant})", "docs/s"):
        table.add_column(heading, justify="right")
    table.add_row("as retrieved", *_measured(judged, retrieved, relevant), "")
    table.add_row(answered_by, *_measured(judged, reranked, relevant), f"{documents / seconds:,.1f}")
    console = Console()
    console.print(table)
    console.print(f"[dim]{len(queries)} queries, {documents} documents, {seconds:.1f} s, one request at a time[/dim]")


def _rerank(client: ServiceClient, queries: Sequence[RunLine], model: str | None) -> tuple[Scores, str]:
    scores: dict[str, dict[str, float]] = {}
    answered_by = ""
    columns = (TextColumn("reranking"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        for each in progress.track(queries):
            reply = client.rerank(each.query, [c.text for c in each.candidates], model, None)
            answered_by = reply["model"]
            scores[each.qid] = _by_rank([each.candidates[r["index"]].docid for r in reply["results"]])
    return scores, answered_by


def _by_rank(docids: Sequence[str]) -> dict[str, float]:
    """Scores that keep this order: two sigmoids can be equal where their logits were not."""
    return {docid: -float(rank) for rank, docid in enumerate(docids)}


def _measured(judged: Judgements, scores: Scores, relevant: int) -> tuple[str, str]:
    ndcg, mrr = nDCG @ 10, RR(rel=relevant) @ 10
    measured = ir_measures.calc_aggregate([ndcg, mrr], judged, scores)
    return f"{measured[ndcg]:.4f}", f"{measured[mrr]:.4f}"
