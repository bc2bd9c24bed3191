"""Custom code of the reranker's stand-in: a Llama that looks both ways, and scores the mean of what it saw.

It travels in the model's repository, as the code of the model it stands for does, and is loaded with
``trust_remote_code``. A causal mask comes from three places, and is kept out of each: the method that builds the mask in
older releases of transformers, the configuration that newer ones ask, and the flag that the attention kernel takes where
there is no mask at all. With the method alone the model is causal on padded batches in newer releases, without an error.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import LlamaConfig, LlamaModel, LlamaPreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class LlamaBidirectionalConfig(LlamaConfig):
    """Llama's, with how the score is pooled."""

    model_type = "llama_bidirec"

    def __init__(self, pooling: str = "avg", is_causal: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pooling = pooling
        self.is_causal = is_causal


class LlamaBidirectionalModel(LlamaModel):
    """Llama without a causal mask."""

    config_class = LlamaBidirectionalConfig

    def __init__(self, config: LlamaBidirectionalConfig) -> None:
        super().__init__(config)
        for layer in self.layers:
            layer.self_attn.is_causal = False

    def _update_causal_mask(
        self, attention_mask: torch.Tensor | None, *args: Any, **kwargs: Any
    ) -> torch.Tensor | None:
        """A mask of padding alone, none where there is no padding."""
        if attention_mask is None or attention_mask.all():
            return None
        hidden = attention_mask[:, None, None, :] == 0
        return torch.zeros_like(hidden, dtype=self.dtype).masked_fill(hidden, torch.finfo(self.dtype).min)


class LlamaBidirectionalForSequenceClassification(LlamaPreTrainedModel):
    """One number for a text."""

    config_class = LlamaBidirectionalConfig

    def __init__(self, config: LlamaBidirectionalConfig) -> None:
        super().__init__(config)
        self.model = LlamaBidirectionalModel(config)
        self.score = nn.Linear(config.hidden_size, config.num_labels, bias=False)
        self.post_init()

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs: Any
    ) -> SequenceClassifierOutput:
        """Logits (batch, labels)."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        hidden = self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)[0]
        weight = attention_mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * weight).sum(dim=1) / weight.sum(dim=1)
        return SequenceClassifierOutput(logits=self.score(pooled))
