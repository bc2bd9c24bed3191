"""Texts to vectors: one of each text as sentence-transformers makes it, and one of each of its tokens for the rerank."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from tokenizers import Encoding, Tokenizer

from service.bert import Bert, Floats
from service.errors import ModelError

_CONFIG = "config.json"
_LENGTH = "sentence_bert_config.json"
_POOLING = "1_Pooling/config.json"
_TOKENIZER = "tokenizer.json"
_WEIGHTS = "model.safetensors"
_BATCH = 16


@dataclass(frozen=True)
class Embedded:
    """A text's vector, and a row for each of its word pieces; all of length 1.

    ``spans`` are the pieces' places in the text, from and up to a character. [CLS] and [SEP] are left out of them.
    """

    vector: Floats
    tokens: Floats
    spans: tuple[tuple[int, int], ...]


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

    def embed(self, texts: Sequence[str]) -> Floats:
        """One row of length 1 a text, in the order given."""
        return np.stack([embedded.vector for embedded in self.encode(texts)])

    def encode(self, texts: Sequence[str]) -> list[Embedded]:
        """Vectors of the texts and of their tokens, in the order given."""
        encodings = self.tokenizer.encode_batch(list(texts))
        # Equal lengths together, so that little is padding.
        order = sorted(range(len(encodings)), key=lambda number: len(encodings[number].ids))
        made: dict[int, Embedded] = {}
        for batch in _batches(order):
            made.update(zip(batch, self._encode_batch([encodings[number] for number in batch]), strict=True))
        return [made[number] for number in range(len(made))]

    def _encode_batch(self, batch: Sequence[Encoding]) -> list[Embedded]:
        ids = np.zeros((len(batch), max(len(encoding.ids) for encoding in batch)), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, encoding in enumerate(batch):
            ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = 1
        return [_embedded(hidden, encoding) for hidden, encoding in zip(self.bert(ids, mask), batch, strict=True)]


def _embedded(hidden: Floats, encoding: Encoding) -> Embedded:
    states = hidden[: len(encoding.ids)]  # without the padding
    words = [number for number, special in enumerate(encoding.special_tokens_mask) if not special]
    return Embedded(
        vector=_of_length_one(states.mean(axis=0)),
        tokens=_of_length_one(states[words]),
        spans=tuple(encoding.offsets[number] for number in words),
    )


def _of_length_one(vectors: Floats) -> Floats:
    scaled: Floats = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled


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
