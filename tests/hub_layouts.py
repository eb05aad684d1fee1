"""The fifteen variants as their hub repositories hold them: file formats, names of keys, tokenizer files, oddities.

`write_layout` makes a folder of random weights that looks like the repository, small where size would hurt;
`state_shapes` says what its weights file holds. Nothing here comes from `serve_app`. What nobody could look into
(the keys of the .bin files) is rebuilt from the published sizes and from the classes of the time.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.checkpoints import VOCABULARY
from tests.reference import POSITIONS, Kind

MULTILINGUAL = (*VOCABULARY, *"你好世界柏林", "cafe", "uber", "москва", "чаика", "テータ")
"""Words without accents, as in bert-base-multilingual-uncased."""
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """One repository."""

    kind: Kind
    hidden: int
    layers: int
    heads: int
    ffn: int
    labels: int = 1
    weights: Literal["safetensors", "zip .bin", "legacy .bin"] = "safetensors"
    vocab_size: int = 30_522
    words: tuple[str, ...] = tuple(VOCABULARY)
    """What vocab.txt begins with; the rest is unused."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """What config.json holds besides names and sizes."""
    tokenizer_config: str | None = None
    tokenizer_json: bool = False
    line_end: str = "\n"
    position_ids: bool = False
    """A buffer that transformers saved for some years; its 4 kB do not show in the size of a file."""
    old_norm_names: bool = False
    fit_dense: bool = False
    """The layer through which TinyBERT was compared with its teacher; nothing runs it afterwards."""


def _cross_encoder(hidden: int, layers: int, heads: int, ffn: int, v2: bool = False, kind: Kind = "bert") -> Layout:
    """One of sentence-transformers' own. The second generation says that its score is the raw logit."""
    config: dict[str, Any] = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}, "layer_norm_eps": 1e-12}
    if v2:
        config["sbert_ce_default_activation_function"] = "torch.nn.modules.linear.Identity"
    tokenizer = '{"do_lower_case": true, "model_max_length": 512, "tokenizer_class": "BertTokenizer"}'
    sizes = (kind, hidden, layers, heads, ffn)
    return Layout(*sizes, config=config, tokenizer_config=tokenizer, tokenizer_json=True, position_ids=not v2)


# March 2020: torch had no zip format yet, and transformers no position_ids.
_NBOOST = Layout("bert", 768, 12, 12, 3_072, labels=2, weights="legacy .bin")
_MAX_LEN = '{"do_lower_case": true, "max_len": 512}'

LAYOUTS: Mapping[str, Layout] = {
    "tinybert-l2-v2": _cross_encoder(128, 2, 2, 512, v2=True),
    "minilm-l2": _cross_encoder(384, 2, 12, 1_536, v2=True),
    "minilm-l4": _cross_encoder(384, 4, 12, 1_536, v2=True),
    "minilm-l6": _cross_encoder(384, 6, 12, 1_536, v2=True),
    "minilm-l12": _cross_encoder(384, 12, 12, 1_536, v2=True),
    "tinybert-l2": _cross_encoder(128, 2, 2, 512),
    "tinybert-l4": _cross_encoder(312, 4, 12, 1_200),
    "tinybert-l6": _cross_encoder(768, 6, 12, 3_072),
    "electra-base": _cross_encoder(768, 12, 12, 3_072, kind="electra"),
    "nboost-tinybert": replace(_NBOOST, hidden=312, layers=4, ffn=1_200, fit_dense=True),
    "nboost-bert-base": replace(_NBOOST, old_norm_names=True, tokenizer_config=_MAX_LEN[:-1] + ', "init_inputs": []}'),
    "nboost-bert-large": replace(_NBOOST, hidden=1_024, layers=24, heads=16, ffn=4_096, tokenizer_config=_MAX_LEN),
    "capreolus-electra-base": Layout(
        *("electra-bare", 768, 12, 12, 3_072),
        labels=2,
        weights="zip .bin",  # assumed: it came after torch 1.6, which made that the default
        config={"layer_norm_eps": 1e-12, "pad_token_id": 0, "summary_activation": "gelu", "summary_type": "first"}
        | {"summary_last_dropout": 0.1, "summary_use_proj": True},
        tokenizer_config='{"do_lower_case": true, "model_max_length": 512}',
        position_ids=True,
    ),
    "amberoad-multilingual": Layout(
        *("bert", 768, 12, 12, 3_072),
        labels=2,
        weights="legacy .bin",
        vocab_size=105_879,
        words=MULTILINGUAL,
        config={"directionality": "bidi", "pooler_fc_size": 768, "pooler_type": "first_token_transform"},
        tokenizer_config='{"special_tokens_map_file": null, "full_tokenizer_file": null}',
        position_ids=True,
    ),
    "distilbert-cat": Layout("distilbert", 768, 6, 12, 3_072, weights="zip .bin", line_end="\r\n", position_ids=True),
}


def shrunk(layout: Layout) -> Layout:
    """Two layers of two heads, each as wide as before, and no unused words.

    Not the DistilBERT: its config.json names no size, so whoever reads it builds the full one.
    """
    if layout.kind == "distilbert":
        return layout
    hidden = 2 * layout.hidden // layout.heads
    ffn = layout.ffn * hidden // layout.hidden
    return replace(layout, hidden=hidden, layers=2, heads=2, ffn=ffn, vocab_size=len(layout.words))


def write_layout(name: str, folder: Path, seed: int) -> dict[str, Tensor]:
    """The variant's folder, shrunk, with random weights; returns them under the names of the hub."""
    layout = shrunk(LAYOUTS[name])
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    state = {key: _random(key, shape, generator) for key, shape in state_shapes(layout).items()}
    write_weights(layout, folder, state)
    write_config(layout, folder)
    _write_tokenizer(layout, folder)
    return state


def write_weights(layout: Layout, folder: Path, state: Mapping[str, Tensor]) -> None:
    if layout.weights == "safetensors":
        save_file(dict(state), folder / "model.safetensors", metadata={"format": "pt"})
    else:
        zipped = layout.weights == "zip .bin"
        torch.save(dict(state), folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)


def write_config(layout: Layout, folder: Path) -> None:
    text = json.dumps(_config(layout), indent=2, sort_keys=True) + "\n"
    (folder / "config.json").write_bytes(text.replace("\n", layout.line_end).encode())


def _config(layout: Layout) -> dict[str, Any]:
    if layout.kind == "distilbert":
        names = {"architectures": ["BERT_Cat"], "model_type": "BERT_Cat", "bert_model": "distilbert-base-uncased"}
        return names | {"trainable": True}
    family = "bert" if layout.kind == "bert" else "electra"
    names = {"architectures": [f"{family.title()}ForSequenceClassification"], "model_type": family}
    sizes = {"hidden_size": layout.hidden, "intermediate_size": layout.ffn, "vocab_size": layout.vocab_size}
    sizes |= {"num_hidden_layers": layout.layers, "num_attention_heads": layout.heads}
    sizes |= {"max_position_embeddings": POSITIONS, "type_vocab_size": 2}
    if family == "electra":
        sizes["embedding_size"] = layout.hidden
    training = {"initializer_range": 0.02, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    return names | {"hidden_act": "gelu"} | sizes | training | dict(layout.config)


def _write_tokenizer(layout: Layout, folder: Path) -> None:
    lines = [*layout.words, *(f"[unused{n}]" for n in range(layout.vocab_size - len(layout.words)))]
    (folder / "vocab.txt").write_bytes("".join(line + layout.line_end for line in lines).encode())
    if layout.tokenizer_config is not None:
        (folder / "tokenizer_config.json").write_text(layout.tokenizer_config)
    if layout.tokenizer_json:
        (folder / "tokenizer.json").write_text(json.dumps(_tokenizer_json(lines)))


def _tokenizer_json(lines: list[str]) -> dict[str, Any]:
    """As published: it pads every text to 512 tokens, and cuts query and document alike."""
    ids = {line: number for number, line in enumerate(lines)}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    pad = {"direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}
    wordpiece = {"unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
    cleaning = {"clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
    return {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": POSITIONS, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": POSITIONS}, **pad},
        "added_tokens": [{"id": ids[token], "content": token, **plain} for token in VOCABULARY[:5]],
        "normalizer": {"type": "BertNormalizer", **cleaning},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", ids["[SEP]"]], "cls": ["[CLS]", ids["[CLS]"]]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", **wordpiece, "vocab": ids},
    }


def _random(key: str, shape: Shape, generator: torch.Generator) -> Tensor:
    """So that different texts score differently, and fp32 stays within 1e-5 of the exact score."""
    if key.endswith("position_ids"):
        return torch.arange(shape[1]).view(shape)
    values = torch.randn(shape, generator=generator)
    if len(shape) == 2:
        return values if "embeddings" in key else values * 1.5 / shape[1] ** 0.5
    return values / 10 + key.lower().endswith(("norm.weight", "norm.gamma"))


def state_shapes(layout: Layout) -> dict[str, Shape]:
    """Every key of the weights file and its shape."""
    prefix = {"bert": "bert", "distilbert": "bert_model"}.get(layout.kind, "electra")
    shapes = _embeddings(layout, f"{prefix}.embeddings")
    layers = f"{prefix}.transformer.layer" if layout.kind == "distilbert" else f"{prefix}.encoder.layer"
    for number in range(layout.layers):
        shapes |= _layer(layout, f"{layers}.{number}")
    return shapes | _head(layout)


def _embeddings(layout: Layout, at: str) -> dict[str, Shape]:
    tables = {"word": layout.vocab_size, "position": POSITIONS}
    if layout.kind != "distilbert":
        tables["token_type"] = 2
    shapes: dict[str, Shape] = {f"{at}.{name}_embeddings.weight": (n, layout.hidden) for name, n in tables.items()}
    shapes |= _norm(layout, f"{at}.LayerNorm")
    return shapes | ({f"{at}.position_ids": (1, POSITIONS)} if layout.position_ids else {})


def _layer(layout: Layout, at: str) -> dict[str, Shape]:
    square = ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]
    norms, widen, narrow = ["attention.output.LayerNorm", "output.LayerNorm"], "intermediate.dense", "output.dense"
    if layout.kind == "distilbert":
        square = ["attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"]
        norms, widen, narrow = ["sa_layer_norm", "output_layer_norm"], "ffn.lin1", "ffn.lin2"
    shapes = _linear(f"{at}.{widen}", layout.ffn, layout.hidden) | _linear(f"{at}.{narrow}", layout.hidden, layout.ffn)
    for name in square:
        shapes |= _linear(f"{at}.{name}", layout.hidden, layout.hidden)
    for name in norms:
        shapes |= _norm(layout, f"{at}.{name}")
    return shapes


def _head(layout: Layout) -> dict[str, Shape]:
    names = {"bert": ("bert.pooler.dense", "classifier"), "distilbert": (None, "_classification_layer")}
    dense, out = names.get(layout.kind, ("classifier.dense", "classifier.out_proj"))
    shapes = _linear(out, layout.labels, layout.hidden)
    if dense is not None:
        shapes |= _linear(dense, layout.hidden, layout.hidden)
    return shapes | (_linear("fit_dense", 768, layout.hidden) if layout.fit_dense else {})


def _linear(name: str, out: int, into: int) -> dict[str, Shape]:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def _norm(layout: Layout, name: str) -> dict[str, Shape]:
    scale, shift = ("gamma", "beta") if layout.old_norm_names else ("weight", "bias")
    return {f"{name}.{scale}": (layout.hidden,), f"{name}.{shift}": (layout.hidden,)}
