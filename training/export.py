"""A trained student out as the folder that is served: fp16 weights under the hub's key names, config, vocabulary."""

import json
import shutil
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import save_file
from transformers import PreTrainedModel

from serve_app.catalog import Architecture
from serve_app.scorer.heads import ARCHITECTURES, CrossEncoder
from training.student import CONFIG


def export(student: CrossEncoder, teacher: Path, folder: Path) -> None:
    """Write the folder, with the vocabulary of the teacher's; other files that are there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    hub_name = ARCHITECTURES[Architecture.BERT].hub_name
    state = {hub_name(key): tensor.to("cpu", torch.float16) for key, tensor in student.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    settings = cast(PreTrainedModel, student.body).config.to_diff_dict()
    kept = {*CONFIG, "model_type", "hidden_act", "layer_norm_eps", "type_vocab_size"}
    config = {key: value for key, value in settings.items() if key in kept}
    config["id2label"] = {"0": "LABEL_0"}  # without it, transformers expects two labels
    config["dtype"] = "float32"  # to compute in, whatever the file holds
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    tokenizer = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=2) + "\n", encoding="utf-8")
    shutil.copyfile(teacher / "vocab.txt", folder / "vocab.txt")
