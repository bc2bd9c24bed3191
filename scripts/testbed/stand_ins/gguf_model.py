"""A tiny Qwen2 as one GGUF file, for the LLM server of the recipe ocr-rag: real for the server, its words are noise.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; names of tensors as llama.cpp has them for ``qwen2``.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

_HIDDEN, _INNER, _LAYERS, _HEADS, _KV_HEADS = 64, 128, 2, 4, 2
_NORMAL, _CONTROL = int(gguf.TokenType.NORMAL), int(gguf.TokenType.CONTROL)
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_qwen2(path: Path, seed: int) -> None:
    """Write the model, float32, 0.5 MB; the same seed gives the same bytes."""
    writer = gguf.GGUFWriter(str(path), "qwen2")
    writer.add_name("stand-in")
    writer.add_context_length(4096)
    writer.add_embedding_length(_HIDDEN)
    writer.add_feed_forward_length(_INNER)
    writer.add_block_count(_LAYERS)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    tokens = _add_tokenizer(writer)
    _add_tensors(writer, tokens, np.random.default_rng(seed))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokenizer(writer: gguf.GGUFWriter) -> int:
    """Byte-level BPE, as Qwen's, with a single merge; the number of tokens."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    pieces = [*map(chr, printable), *(chr(0x100 + number) for number in range(0x100 - len(printable))), "he"]
    first = len(pieces)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([*pieces, *_SPECIAL])
    writer.add_token_types([_NORMAL] * first + [_CONTROL] * len(_SPECIAL))
    writer.add_token_merges(["h e"])
    writer.add_bos_token_id(first)
    writer.add_pad_token_id(first)
    writer.add_eos_token_id(first + 2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(_TEMPLATE)
    return first + len(_SPECIAL)


def _add_tensors(writer: gguf.GGUFWriter, tokens: int, random: np.random.Generator) -> None:
    def add(name: str, *shape: int) -> None:
        writer.add_tensor(name, random.normal(0, 0.1, shape).astype(np.float32))

    def add_norm(name: str) -> None:
        writer.add_tensor(name, np.ones(_HIDDEN, np.float32))

    keys = _KV_HEADS * _HIDDEN // _HEADS
    add("token_embd.weight", tokens, _HIDDEN)
    add("output.weight", tokens, _HIDDEN)
    add_norm("output_norm.weight")
    for layer in (f"blk.{number}" for number in range(_LAYERS)):
        add_norm(f"{layer}.attn_norm.weight")
        add_norm(f"{layer}.ffn_norm.weight")
        for name, width in (("q", _HIDDEN), ("k", keys), ("v", keys)):
            add(f"{layer}.attn_{name}.weight", width, _HIDDEN)
            add(f"{layer}.attn_{name}.bias", width)
        add(f"{layer}.attn_output.weight", _HIDDEN, _HIDDEN)
        add(f"{layer}.ffn_gate.weight", _INNER, _HIDDEN)
        add(f"{layer}.ffn_up.weight", _INNER, _HIDDEN)
        add(f"{layer}.ffn_down.weight", _HIDDEN, _INNER)
