"""Sentences to vectors, as sentence-transformers does it: tokenizer, BERT, mean over the tokens, length 1."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from service.bert import Bert, Floats
from service.errors import ModelError

_CONFIG = "config.json"
_LENGTH = "sentence_bert_config.json"
_POOLING = "1_Pooling/config.json"
_TOKENIZER = "tokenizer.json"
_WEIGHTS = "model.safetensors"
_BATCH = 16


@dataclass(frozen=True)
class Embedder:
    """A loaded model. Safe for several threads: nothing in it changes after `load`."""

    tokenizer: Tokenizer
    bert: Bert

    @classmethod
    def load(cls, directory: Path) -> Embedder:
        """Load the model from a directory. Raises ModelError when a part is missing, damaged or unsuitable."""
        missing = [
            name for name in (_CONFIG, _LENGTH, _POOLING, _TOKENIZER, _WEIGHTS) if not (directory / name).is_file()
        ]
        if missing:
            raise ModelError(directory, f"missing {', '.join(missing)}" if directory.is_dir() else "no such directory")
        if not _read_json(directory / _POOLING).get("pooling_mode_mean_tokens"):
            raise ModelError(
                directory / _POOLING, "this service takes the mean over the tokens, the model something else"
            )
        return cls(_load_tokenizer(directory), _load_bert(directory))

    def embed(self, sentences: Sequence[str]) -> Floats:
        """One row of length 1 a sentence, in the order given."""
        encodings = self.tokenizer.encode_batch(list(sentences))
        # Equal lengths together, so that little is padding.
        order = sorted(range(len(encodings)), key=lambda number: len(encodings[number].ids))
        rows: dict[int, Floats] = {}
        for batch in _batches(order):
            vectors = self._embed_batch([encodings[number].ids for number in batch])
            rows.update(zip(batch, vectors, strict=True))
        return np.stack([rows[number] for number in range(len(rows))])

    def _embed_batch(self, batch: Sequence[Sequence[int]]) -> Floats:
        longest = max(len(ids) for ids in batch)
        ids = np.zeros((len(batch), longest), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        weight = mask[:, :, None].astype(np.float32)
        mean: Floats = (self.bert(ids, mask) * weight).sum(axis=1) / weight.sum(axis=1)
        length: Floats = np.linalg.norm(mean, axis=1, keepdims=True)
        return mean / length


def _load_tokenizer(directory: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(directory / _TOKENIZER))
    except Exception as error:
        raise ModelError(directory / _TOKENIZER, f"not readable: {error}") from error
    # The file brings its own padding and a shorter limit; the model's sentence configuration is what counts.
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=int(_read_json(directory / _LENGTH)["max_seq_length"]))
    return tokenizer


def _load_bert(directory: Path) -> Bert:
    config = _read_json(directory / _CONFIG)
    if (config.get("model_type"), config.get("hidden_act")) != ("bert", "gelu"):
        raise ModelError(directory / _CONFIG, "not a BERT with the GELU activation")
    try:
        weights = load_file(directory / _WEIGHTS)
    except SafetensorError as error:
        raise ModelError(directory / _WEIGHTS, f"not whole: {error}") from error
    return Bert(weights, config["num_hidden_layers"], config["num_attention_heads"], config["layer_norm_eps"])


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ModelError(path, f"not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ModelError(path, "not a JSON object")
    return found


def _batches(order: Sequence[int]) -> Iterator[Sequence[int]]:
    return (order[start : start + _BATCH] for start in range(0, len(order), _BATCH))
