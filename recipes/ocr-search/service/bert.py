"""The forward pass of BERT (Devlin et al., 2018) in numpy, float32: what inference needs and no more.

Names of the tensors are those of the `transformers` library's BertModel. The activation is the exact GELU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
_MASKED = np.float32(-1e9)


@dataclass(frozen=True)
class Bert:
    """An encoder: its weights by name, and the numbers of its config.json that the tensors don't tell."""

    weights: Mapping[str, Floats]
    layers: int
    heads: int
    layer_norm_eps: float

    def __call__(self, ids: Ints, mask: Ints) -> Floats:
        """Hidden states (batch, tokens, hidden) of padded token ids (batch, tokens); mask is 1 where a token stands."""
        hidden = self._embeddings(ids)
        bias = np.where(mask[:, None, None, :] == 1, np.float32(0), _MASKED)
        for number in range(self.layers):
            hidden = self._layer(f"encoder.layer.{number}", hidden, bias)
        return hidden

    def _embeddings(self, ids: Ints) -> Floats:
        words = self.weights["embeddings.word_embeddings.weight"][ids]
        places = self.weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        kinds = self.weights["embeddings.token_type_embeddings.weight"][0]
        return self._norm("embeddings.LayerNorm", words + places + kinds)

    def _layer(self, name: str, hidden: Floats, bias: Floats) -> Floats:
        attended = self._dense(
            f"{name}.attention.output.dense", self._attention(f"{name}.attention.self", hidden, bias)
        )
        hidden = self._norm(f"{name}.attention.output.LayerNorm", hidden + attended)
        wide = gelu(self._dense(f"{name}.intermediate.dense", hidden))
        return self._norm(f"{name}.output.LayerNorm", hidden + self._dense(f"{name}.output.dense", wide))

    def _attention(self, name: str, hidden: Floats, bias: Floats) -> Floats:
        query, key, value = (self._split(self._dense(f"{name}.{part}", hidden)) for part in ("query", "key", "value"))
        scores = query @ key.swapaxes(-1, -2) / np.float32(np.sqrt(query.shape[-1])) + bias
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        attended: Floats = (weights @ value).swapaxes(1, 2).reshape(hidden.shape)
        return attended

    def _split(self, states: Floats) -> Floats:
        """(batch, tokens, hidden) to (batch, heads, tokens, hidden / heads)."""
        batch, tokens, hidden = states.shape
        return states.reshape(batch, tokens, self.heads, hidden // self.heads).swapaxes(1, 2)

    def _dense(self, name: str, states: Floats) -> Floats:
        product: Floats = states @ self.weights[f"{name}.weight"].T
        return product + self.weights[f"{name}.bias"]

    def _norm(self, name: str, states: Floats) -> Floats:
        centred = states - states.mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        scaled: Floats = centred / np.sqrt(variance + np.float32(self.layer_norm_eps))
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


def gelu(values: Floats) -> Floats:
    """The exact GELU, x * Phi(x)."""
    return values * np.float32(0.5) * (1 + erf(values * np.float32(np.sqrt(0.5))))


def erf(values: Floats) -> Floats:
    """The error function, which numpy lacks: Abramowitz and Stegun 7.1.26, off by at most 1.5e-7 and its rounding."""
    size = np.abs(values)
    t = 1 / (1 + np.float32(0.3275911) * size)
    series = np.zeros_like(t)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(factor)) * t
    signed: Floats = np.copysign(1 - series * np.exp(-size * size), values)
    return signed
