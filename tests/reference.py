"""What the authors' models compute, once more: a folder's tensors, its vocabulary and one pair in, one logit out.

Written from the definitions of the architectures with plain torch, one pair at a time, without padding, mask or batch.
It knows neither `serve_app` nor transformers nor tokenizers, so it cannot share a mistake with them.
"""

import math
import string
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Kind = Literal["bert", "electra", "electra-bare", "distilbert"]
"""Body and head. `electra-bare` is the ELECTRA of Capreolus, whose head skips the dense layer that its file has."""
State = Mapping[str, Tensor]
Vocabulary = Mapping[str, int]

POSITIONS = 512
LAYER_NORM_EPS = 1e-12
LONGEST_WORD = 100
_CJK = (
    *((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F)),
    *((0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)),
)


class _Names(NamedTuple):
    """How the parts of a layer are called."""

    layers: str
    query: str
    key: str
    value: str
    attended: str
    attention_norm: str
    widen: str
    narrow: str
    ffn_norm: str


_BERT = _Names(
    "encoder.layer",
    *("attention.self.query", "attention.self.key", "attention.self.value"),
    *("attention.output.dense", "attention.output.LayerNorm"),
    *("intermediate.dense", "output.dense", "output.LayerNorm"),
)
_DISTILBERT = _Names(
    "transformer.layer",
    *("attention.q_lin", "attention.k_lin", "attention.v_lin"),
    *("attention.out_lin", "sa_layer_norm"),
    *("ffn.lin1", "ffn.lin2", "output_layer_norm"),
)
_BODIES: Mapping[Kind, tuple[str, _Names]] = {
    "bert": ("bert", _BERT),
    "electra": ("electra", _BERT),
    "electra-bare": ("electra", _BERT),
    "distilbert": ("bert_model", _DISTILBERT),
}


@torch.inference_mode()
def reference_logit(kind: Kind, heads: int, state: State, vocabulary: Vocabulary, query: str, document: str) -> float:
    """The relevance of the pair, computed in the dtype of `state`; of two labels, what the second is ahead."""
    ids, segments = encode_pair(vocabulary, query, document)
    prefix, names = _BODIES[kind]
    hidden = _embedded(state, f"{prefix}.embeddings", ids, None if kind == "distilbert" else segments)
    for number in range(sum(key.endswith(f".{names.query}.weight") for key in state)):
        hidden = _layer(state, f"{prefix}.{names.layers}.{number}", names, heads, hidden)
    logits = _head(kind, state, hidden[0])
    return float(logits[0] if len(logits) == 1 else logits[1] - logits[0])


def read_vocabulary(folder: Path) -> dict[str, int]:
    """The lines of vocab.txt, whichever line ends it has."""
    lines = (folder / "vocab.txt").read_bytes().decode().replace("\r\n", "\n").removesuffix("\n").split("\n")
    return {token: number for number, token in enumerate(lines)}


def encode_pair(vocabulary: Vocabulary, query: str, document: str) -> tuple[list[int], list[int]]:
    """Ids and segments of `[CLS] query [SEP] document [SEP]`; a document that does not fit loses its end."""
    first = ["[CLS]", *_tokens(vocabulary, query), "[SEP]"]
    second = [*_tokens(vocabulary, document)[: POSITIONS - 1 - len(first)], "[SEP]"]
    return [vocabulary[token] for token in first + second], [0] * len(first) + [1] * len(second)


def _tokens(vocabulary: Vocabulary, text: str) -> list[str]:
    return [piece for word in _words(text) for piece in _pieces(vocabulary, word)]


def _words(text: str) -> list[str]:
    """Lower-cased, without accents and control characters; punctuation and CJK characters each stand alone."""
    spaced = ""
    for char in unicodedata.normalize("NFD", text.lower()):
        category = unicodedata.category(char)
        if char in "\t\n\r" or category == "Zs":
            spaced += " "
        elif char in string.punctuation or category.startswith("P") or _is_cjk(char):
            spaced += f" {char} "
        elif category not in ("Cc", "Cf", "Mn") and char != "\ufffd":
            spaced += char
    return spaced.split()


def _is_cjk(char: str) -> bool:
    return any(first <= ord(char) <= last for first, last in _CJK)


def _pieces(vocabulary: Vocabulary, word: str) -> list[str]:
    """The longest beginning that is known, then the longest continuation; [UNK] for the word if one is not."""
    pieces: list[str] = []
    start = 0
    while start < len(word) <= LONGEST_WORD:
        mark = "##" if start else ""
        known = (end for end in range(len(word), start, -1) if mark + word[start:end] in vocabulary)
        if (end := next(known, start)) == start:
            return ["[UNK]"]
        pieces.append(mark + word[start:end])
        start = end
    return pieces or ["[UNK]"]


def _embedded(state: State, name: str, ids: list[int], segments: list[int] | None) -> Tensor:
    hidden = state[f"{name}.word_embeddings.weight"][ids] + state[f"{name}.position_embeddings.weight"][: len(ids)]
    if segments is not None:
        hidden = hidden + state[f"{name}.token_type_embeddings.weight"][segments]
    return _normalised(state, f"{name}.LayerNorm", hidden)


def _layer(state: State, at: str, names: _Names, heads: int, hidden: Tensor) -> Tensor:
    query, key, value = (
        _linear(state, f"{at}.{name}", hidden).view(len(hidden), heads, -1).transpose(0, 1)
        for name in (names.query, names.key, names.value)
    )
    weights = torch.softmax(query @ key.transpose(1, 2) / math.sqrt(query.shape[2]), dim=2)
    attended = _linear(state, f"{at}.{names.attended}", (weights @ value).transpose(0, 1).flatten(1))
    hidden = _normalised(state, f"{at}.{names.attention_norm}", hidden + attended)
    wide = _gelu(_linear(state, f"{at}.{names.widen}", hidden))
    return _normalised(state, f"{at}.{names.ffn_norm}", hidden + _linear(state, f"{at}.{names.narrow}", wide))


def _head(kind: Kind, state: State, cls: Tensor) -> Tensor:
    if kind == "bert":
        return _linear(state, "classifier", torch.tanh(_linear(state, "bert.pooler.dense", cls)))
    if kind == "electra":
        return _linear(state, "classifier.out_proj", _gelu(_linear(state, "classifier.dense", cls)))
    return _linear(state, "classifier.out_proj" if kind == "electra-bare" else "_classification_layer", cls)


def _linear(state: State, name: str, values: Tensor) -> Tensor:
    return values @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def _normalised(state: State, name: str, values: Tensor) -> Tensor:
    scale, shift = ("gamma", "beta") if f"{name}.gamma" in state else ("weight", "bias")
    centred = values - values.mean(dim=1, keepdim=True)
    deviation = torch.sqrt(centred.square().mean(dim=1, keepdim=True) + LAYER_NORM_EPS)
    return centred / deviation * state[f"{name}.{scale}"] + state[f"{name}.{shift}"]


def _gelu(values: Tensor) -> Tensor:
    return values * 0.5 * (1 + torch.erf(values / math.sqrt(2)))
