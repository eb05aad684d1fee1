"""Each of the fifteen variants, from files like those of its hub repository: it loads, and scores what its authors do.

The reference is `tests/reference.py`, in float64. Real weights come from nowhere here: what is tested is the reading of
the formats and the computation, each of the known mistakes in them, and the counts of the full sizes.
"""

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from serve_app.catalog import Catalog, Variant
from serve_app.errors import WeightsInvalid
from serve_app.scorer import checkpoint
from serve_app.scorer.checkpoint import load_cross_encoder
from serve_app.scorer.loading import LoadedModel, load
from serve_app.scorer.packing import pad
from tests.hub_layouts import LAYOUTS, Layout, shrunk, state_shapes, write_config, write_layout, write_weights
from tests.reference import Kind, encode_pair, read_vocabulary, reference_logit

QUERY = "How many people live in Berlin?"
DOCUMENTS = [
    "",
    "The river is in Berlin.",
    "Café Über Ångström, naïve",
    "你好,世界 (柏林)! データ",
    "don't stop-me... now!!1",
    "Чайка\tв\u00a0Москве\u200b 🎉",
    f"a word of {'x' * 101} characters, and one of {'x' * 100}",
    "people of the mountain in the sea, " * 100,
]
TOLERANCE = 1e-5
NEVER_RUN = {"nboost-tinybert": "fit_dense.", "capreolus-electra-base": "classifier.dense."}
"""Layers that the files hold and the authors' code leaves alone."""


@dataclass(frozen=True)
class Case:
    """A variant, its folder, and the tensors in it."""

    layout: Layout
    variant: Variant
    folder: Path
    state: dict[str, Tensor]

    def load(self) -> LoadedModel:
        return load(self.variant, self.folder.parent, "cpu", threads=2)

    def expected(self, kind: Kind) -> list[float]:
        exact = {key: tensor.double() for key, tensor in self.state.items()}
        one = partial(reference_logit, kind, self.layout.heads, exact, read_vocabulary(self.folder), QUERY)
        return [one(document) for document in DOCUMENTS]


def _written(name: str, parent: Path, catalog: Catalog) -> Case:
    variant = catalog.in_dtype("fp32").variants[name]
    folder = parent / variant.folder
    return Case(shrunk(LAYOUTS[name]), variant, folder, write_layout(name, folder, seed=list(LAYOUTS).index(name)))


def _scores(model: LoadedModel) -> list[float]:
    """Of short and long documents at once, so that most rows are padding."""
    return model.engine.run(model.tokenizer.rows_now(QUERY, DOCUMENTS))


@pytest.fixture(autouse=True, scope="module")
def _threads_as_they_were() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=LAYOUTS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, catalog: Catalog) -> Iterator[Case]:
    """Each variant in turn, written once and then removed: the DistilBERT is 265 MB."""
    parent = tmp_path_factory.mktemp("models")
    yield _written(request.param, parent, catalog)
    shutil.rmtree(parent)


@pytest.fixture(scope="module")
def model(case: Case) -> LoadedModel:
    return case.load()


@pytest.fixture
def own(request: pytest.FixtureRequest, tmp_path: Path, catalog: Catalog) -> Case:
    """The variant that the test names, whose files it may change."""
    return _written(request.param, tmp_path, catalog)


def _of(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("own", names, indirect=True)


def test_there_is_a_layout_for_each_variant(catalog: Catalog) -> None:
    assert list(LAYOUTS) == [name for name, variant in catalog.variants.items() if not variant.bundled]


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_layout_has_as_many_parameters_as_were_published(name: str, catalog: Catalog) -> None:
    shapes = state_shapes(LAYOUTS[name])
    counted = {k: math.prod(s) for k, s in shapes.items() if not k.endswith("position_ids") and "fit_dense" not in k}
    assert sum(counted.values()) == catalog.variants[name].parameters


@pytest.mark.parametrize("name", LAYOUTS)
def test_our_model_of_the_full_size_takes_every_tensor_of_the_layout(
    name: str, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the meta device, where tensors are shapes: 335 million parameters take no memory."""
    shapes = state_shapes(LAYOUTS[name])
    write_config(LAYOUTS[name], tmp_path)
    with torch.device("meta"):
        monkeypatch.setattr(checkpoint, "read_state", lambda _: {k: torch.empty(shape) for k, shape in shapes.items()})
        model = load_cross_encoder(catalog.variants[name], tmp_path)
    left_out = 768 * 768 + 768 if name == "capreolus-electra-base" else 0
    assert sum(parameter.numel() for parameter in model.parameters()) == catalog.variants[name].parameters - left_out


def test_the_files_that_could_be_rebuilt_are_as_long_as_the_published_ones(tmp_path: Path) -> None:
    for name, size in {"distilbert-cat": 144, "capreolus-electra-base": 596}.items():
        write_config(LAYOUTS[name], tmp_path)
        assert (tmp_path / "config.json").stat().st_size == size
    tokenizers = {"nboost-bert-base": 58, "nboost-bert-large": 39, "amberoad-multilingual": 62}
    assert {name: len(LAYOUTS[name].tokenizer_config or "") for name in tokenizers} == tokenizers


def test_scores_are_those_of_the_authors_code(case: Case, model: LoadedModel) -> None:
    assert (case.folder / case.variant.weights_file).is_file()
    expected = case.expected(case.layout.kind)
    assert min(abs(a - b) for a, b in combinations(expected, 2)) > 10 * TOLERANCE
    assert _scores(model) == pytest.approx(expected, rel=0, abs=TOLERANCE)


def test_rows_are_what_the_reference_reads_and_end_at_512(case: Case, model: LoadedModel) -> None:
    """Also where no file of the repository says 512: nboost-tinybert, amberoad and the DistilBERT."""
    rows = model.tokenizer.rows_now(QUERY, DOCUMENTS)
    for row, document in zip(rows, DOCUMENTS, strict=True):
        ids, segments = encode_pair(read_vocabulary(case.folder), QUERY, document)
        assert row.ids.tolist() == ids
        assert row.document_start == segments.index(1)
    assert len(rows[-1].ids) == 512


def test_segments_reach_every_body_but_the_distilbert(case: Case, model: LoadedModel) -> None:
    handed: dict[str, Tensor] = {}

    def record(_module: nn.Module, _args: tuple[()], kwargs: dict[str, Tensor]) -> None:
        handed.update(kwargs)

    batch = pad(model.tokenizer.rows_now(QUERY, DOCUMENTS[:2]))
    ids, segments, mask = (torch.from_numpy(part) for part in (batch.ids, batch.segments, batch.mask))
    cross_encoder = load_cross_encoder(case.variant, case.folder)
    cross_encoder.body.register_forward_pre_hook(record, with_kwargs=True)
    cross_encoder(ids, segments, mask)
    assert handed["input_ids"] is ids
    assert handed.get("token_type_ids") is (None if case.layout.kind == "distilbert" else segments)


def test_a_head_or_a_layer_that_is_missing_is_an_error(case: Case) -> None:
    heads = ("bert.pooler.", "classifier.", "_classification_layer.")
    unused = NEVER_RUN.get(case.variant.name, "nothing")
    lost = [[key] for key in case.state if key.startswith(heads) and not key.startswith(unused)]
    lost.append([key for key in case.state if "layer.1." in key])
    folder = case.folder.parent / "lost"
    folder.mkdir()
    shutil.copy(case.folder / "config.json", folder)
    for keys in lost:
        write_weights(case.layout, folder, {key: case.state[key] for key in case.state if key not in keys})
        with pytest.raises(WeightsInvalid, match=r"missing (head|body)\..*; unexpected nothing"):
            load_cross_encoder(case.variant, folder)


@_of(*NEVER_RUN)
def test_layers_that_the_authors_never_run_are_no_part_of_the_score(own: Case) -> None:
    before = _scores(own.load())
    unused = [key for key in own.state if key.startswith(NEVER_RUN[own.variant.name])]
    assert len(unused) == 2
    write_weights(own.layout, own.folder, own.state | {key: own.state[key] * math.nan for key in unused})
    assert _scores(own.load()) == before


@pytest.mark.parametrize(
    ("own", "other"),
    [("capreolus-electra-base", "electra"), ("electra-base", "electra-bare")],
    indirect=["own"],
)
def test_the_head_of_the_other_electra_would_give_other_scores(own: Case, other: Kind) -> None:
    """Its keys are in the file, so nothing would fail."""
    pairs = zip(_scores(own.load()), own.expected(other), strict=True)
    assert min(abs(ours - wrong) for ours, wrong in pairs) > 100 * TOLERANCE


@_of(*(name for name, layout in LAYOUTS.items() if layout.labels == 2))
def test_of_two_labels_only_the_lead_of_the_second_counts(own: Case) -> None:
    """Neither logit 1 alone, which gives another order, nor the labels the other way round."""
    bias = next(key for key in own.state if key in ("classifier.bias", "classifier.out_proj.bias"))
    before = _scores(own.load())
    for added, lead in (((3.0, 3.0), 0.0), ((0.0, 2.0), 2.0), ((2.0, 0.0), -2.0)):
        write_weights(own.layout, own.folder, own.state | {bias: own.state[bias] + torch.tensor(added)})
        assert _scores(own.load()) == pytest.approx([score + lead for score in before], rel=0, abs=TOLERANCE)


@_of("tinybert-l2-v2", "tinybert-l2", "electra-base")
def test_no_activation_that_config_json_names_touches_the_logit(own: Case) -> None:
    """sentence-transformers answers with a sigmoid where there is no such key, as in all of the first generation."""
    before = _scores(own.load())
    assert not all(0 <= score <= 1 for score in before)
    config = json.loads((own.folder / "config.json").read_text())
    config.pop("sbert_ce_default_activation_function", None)
    sigmoid, identity = "torch.nn.modules.activation.Sigmoid", "torch.nn.modules.linear.Identity"
    for named in (
        {},
        {"sbert_ce_default_activation_function": sigmoid},
        {"sbert_ce_default_activation_function": identity},
        {"sentence_transformers": {"activation_fn": sigmoid}},
    ):
        (own.folder / "config.json").write_text(json.dumps(config | named))
        assert _scores(own.load()) == before
