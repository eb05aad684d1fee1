"""A folder of random weights in the exact shape of a published cross-encoder, for measuring speed without it.

    python -m loadtest.peers.random_weights minilm-l6 --vocabulary FOLDER --to FOLDER

They are as fast as the real ones and their scores mean nothing. FOLDER of --vocabulary is a model's, which has the
uncased BERT tokenizer; the folder that is made lies in that of --to, named as the published one, so that `rerank serve
--models-dir` finds it there.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

VOCABULARY = "vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"


@dataclass(frozen=True, slots=True)
class Shape:
    """Of a BERT cross-encoder with one label, as config.json of the published one has it."""

    folder: str
    """The last part of its name on the hub."""
    layers: int
    hidden: int
    heads: int
    feed_forward: int


SHAPES = {
    "tinybert-l2-v2": Shape("ms-marco-TinyBERT-L2-v2", 2, 128, 2, 512),
    "minilm-l6": Shape("ms-marco-MiniLM-L6-v2", 6, 384, 12, 1536),
    "minilm-l12": Shape("ms-marco-MiniLM-L12-v2", 12, 384, 12, 1536),
}


def random_weights(
    model: Annotated[str, typer.Argument(help=f"One of {', '.join(SHAPES)}.")],
    vocabulary: Annotated[Path, typer.Option(help="A model's folder, for its tokenizer.")],
    to: Annotated[Path, typer.Option(help="Folder that the model's folder is made in.")],
) -> None:
    """Write config, weights and tokenizer, and print the folder."""
    if model not in SHAPES:
        raise typer.BadParameter(f"no shape is known of {model!r}: there are {', '.join(SHAPES)}")
    print(write(SHAPES[model], vocabulary, to))


def write(shape: Shape, vocabulary: Path, to: Path) -> Path:
    """The folder, which must not be there yet."""
    import torch  # with transformers seconds, which --help need not take
    from transformers import BertConfig, BertForSequenceClassification

    words = (vocabulary / "vocab.txt").read_text(encoding="utf-8").splitlines()
    sizes: dict[str, Any] = {
        "vocab_size": len(words),
        "num_hidden_layers": shape.layers,
        "hidden_size": shape.hidden,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.feed_forward,
        "num_labels": 1,
    }
    folder = to / shape.folder
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    BertForSequenceClassification(BertConfig(**sizes)).save_pretrained(folder)
    for name in VOCABULARY:
        if (vocabulary / name).is_file():
            shutil.copyfile(vocabulary / name, folder / name)
    return folder


if __name__ == "__main__":
    typer.run(random_weights)
