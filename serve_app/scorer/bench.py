"""`rerank bench`, or `python -m serve_app.scorer.bench`: how fast the engine is here, without Ray and without HTTP.

Neither ray nor fastapi is imported, so that any machine with torch, transformers and sentence-transformers can be
measured.
"""

import platform
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import ir_measures
import typer
from ir_measures import nDCG
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from serve_app.catalog import Catalog, Dtype, Variant
from serve_app.catalog_file import default_catalog_path, load_catalog
from serve_app.errors import ConfigurationError, RerankError
from serve_app.packages import require_packages
from serve_app.run_file import Judgements, RunLine, read_judgements, read_run
from serve_app.scorer.packing import PathName
from serve_app.scoring import Device

if TYPE_CHECKING:
    from serve_app.scorer.measure import How, Measured


def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...", help="Variants, by any of their names. Default: those whose weights are at hand."
        ),
    ] = None,
    models_dir: Annotated[
        Path | None,
        typer.Option(envvar="RERANK_MODELS_DIR", help="Weights. A model without any gets random ones of its shape."),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Text: lines {qid, query, candidates: [{docid, text}]}. Default: made up.")
    ] = None,
    qrels: Annotated[Path | None, typer.Option(help="Judgements of the run, for NDCG@10.")] = None,
    documents: Annotated[int, typer.Option(min=1, help="Documents of a round; of a run, whole queries.")] = 500,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; medians are printed.")] = 3,
    device: Annotated[Device | None, typer.Option(help="Default: the GPU if there is one.")] = None,
    path: Annotated[
        PathName | None, typer.Option(help="Way through the device; graphs is V100's. Default: the device's fastest.")
    ] = None,
    replicas: Annotated[int, typer.Option(min=1, help="Processes that share the device and the CPUs.")] = 1,
    dtype: Annotated[Dtype | None, typer.Option(help="Default: the catalog's.")] = None,
    catalog: Annotated[Path | None, typer.Option(envvar="RERANK_CATALOG", help="Catalog file.")] = None,
) -> None:
    """Measure documents/s of this engine and of sentence-transformers' defaults, in turns, tokenising included.

    V100: published documents/s. Device: of one replica, without tokenising. s-t: sentence-transformers here, on a GPU
    in our dtype. Peak: the device's share of a square matmul's speed in the same run and dtype (beside int8, in the
    CPU's fastest of floats), by the arithmetic of the whole model.
    """
    require_packages("torch", "transformers")
    import torch

    from serve_app.scorer.measure import How

    if qrels is not None and run is None:
        raise ConfigurationError("--qrels judges a --run: name that too")
    on: Device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    known = load_catalog(catalog or default_catalog_path())
    chosen = _chosen(known if dtype is None else known.in_dtype(dtype), models, models_dir)
    how = How(on, path, replicas, rounds)
    lines = _lines(run, documents) if run else None
    judged = read_judgements(qrels) if qrels else None
    table = _table()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress, TemporaryDirectory() as made:
        task = progress.add_task("", total=len(chosen) * (rounds + 1))
        for variant in chosen:
            progress.update(task, description=variant.name)
            folder, real = _folder(variant, models_dir, Path(made))
            measured = _measure(variant, folder, lines, documents, how, lambda: progress.advance(task))
            ndcg10 = _ndcg10(lines, judged, measured) if real and lines and judged else None
            table.add_row(*_cells(variant, measured, ndcg10, real))
    Console().print(table)
    text = run.name if run else "made-up text"
    below = f"{_hardware(on)}; {text}, {measured.tokens:.0f} tokens a pair; medians of {rounds} rounds"
    Console().print(below, style="dim", markup=False)
    if find_spec("sentence_transformers") is None:
        missing = "sentence-transformers is not installed; rerank-serve[loadtest] brings it"
        Console().print(missing, style="dim", markup=False)


def _chosen(catalog: Catalog, models: Sequence[str] | None, models_dir: Path | None) -> Sequence[Variant]:
    if models:
        return list(catalog.only(models).variants.values())
    from serve_app.scorer.weights import at_hand

    chosen = [variant for variant in catalog.variants.values() if at_hand(variant, models_dir)]
    if not chosen:
        raise ConfigurationError("no weights are at hand: name models, to measure them with random weights")
    return chosen


def _lines(run: Path, documents: int) -> Sequence[RunLine]:
    """The first queries of a run that have so many documents together."""
    chosen: list[RunLine] = []
    for line in read_run(run):
        if sum(len(each.candidates) for each in chosen) >= documents:
            break
        chosen.append(line)
    if not chosen:
        raise ConfigurationError(f"the run {run} is empty")
    return chosen


def _folder(variant: Variant, models_dir: Path | None, made: Path) -> tuple[Path, bool]:
    """Its weights, and whether they are real."""
    from serve_app.scorer.random_weights import write_random
    from serve_app.scorer.weights import BUNDLED, at_hand

    if folder := at_hand(variant, models_dir):
        return folder, True
    write_random(variant, BUNDLED / "rerank-tiny" / "vocab.txt", made / variant.folder)
    return made / variant.folder, False


def _measure(
    variant: Variant,
    folder: Path,
    lines: Sequence[RunLine] | None,
    documents: int,
    how: "How",
    done: Callable[[], None],
) -> "Measured":
    from serve_app.scorer.measure import made_up_pairs, measure

    if lines is None:
        words = (folder / "vocab.txt").read_text(encoding="utf-8").split()
        pairs = made_up_pairs([word for word in words if word.isalpha()], documents)
    else:
        pairs = [(line.query, [candidate.text for candidate in line.candidates]) for line in lines]
    return measure(variant, folder, pairs, how, done)


def _ndcg10(lines: Sequence[RunLine], judged: Judgements, measured: "Measured") -> float:
    scores = {
        line.qid: {candidate.docid: logit for candidate, logit in zip(line.candidates, logits, strict=True)}
        for line, logits in zip(lines, measured.logits, strict=True)
    }
    known = {qid: grades for qid, grades in judged.items() if qid in scores}
    return float(ir_measures.calc_aggregate([nDCG @ 10], known, scores)[nDCG @ 10])


def _table() -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("model", "weights"):
        table.add_column(heading, no_wrap=True)
    for heading in ("NDCG@10", "V100", "docs/s", "device", "s-t", "ratio", "peak"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("dtype", no_wrap=True)
    return table


def _cells(variant: Variant, measured: "Measured", ndcg10: float | None, real: bool) -> Sequence[str]:
    from serve_app.scorer.measure import flops_per_pair

    share = measured.device * flops_per_pair(variant, measured.tokens) / measured.peak_flops
    theirs = measured.theirs
    return (
        variant.name,
        "real" if real else "random",
        "–" if ndcg10 is None else f"{ndcg10:.4f}",
        f"{variant.figures.docs_per_second_v100:,.0f}",
        f"{measured.ours:,.0f}",
        f"{measured.device:,.0f}",
        "–" if theirs is None else f"{theirs:,.0f}",
        "–" if theirs is None else f"{measured.ours / theirs:.2f}",
        f"{share:.0%}",
        measured.dtype,
    )


def _hardware(device: Device) -> str:
    import torch

    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"


if __name__ == "__main__":
    try:
        typer.run(bench)
    except RerankError as error:
        sys.exit(f"error: {error}")
