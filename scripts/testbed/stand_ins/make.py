"""Make the stand-ins: python -m testbed.stand_ins.make DIRECTORY, in the reference environment.

The same seed gives the same bytes.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image, ImageDraw, ImageFont
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast
from yomitoku import configs
from yomitoku.models import CELL_HEIGHT, CELL_WIDTH, DBNet, PARSeq, RTDETRv2

from testbed.stand_ins import LLM, LLM_FILE, RERANKER, SARASHINA, YOMITOKU
from testbed.stand_ins.gguf_model import write_qwen2
from testbed.stand_ins.llama_bidirectional_model import (
    LlamaBidirectionalConfig,
    LlamaBidirectionalForSequenceClassification,
)

_SEED = 20
_CODE = "llama_bidirectional_model.py"
_ATTRIBUTES = "".join(f"*.{kind} filter=lfs diff=lfs merge=lfs -text\n" for kind in ("safetensors", "gguf"))
#: Of both language models; the embedding's is asked for with other numbers by nobody.
_SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8192,
    "initializer_range": 0.3,  # wide enough for attention to tell words apart, which trained weights do
}
_SPECIAL = ("<unk>", "<s>", "</s>", "<pad>")


def main(folder: Path) -> None:
    """All repositories, each at ``OWNER/NAME`` below ``folder``."""
    make_sarashina(folder / SARASHINA)
    make_reranker(folder / RERANKER)
    recognizer, detector, layout, tables, cells, tiny = (folder / name for name in YOMITOKU)
    _yomitoku(recognizer, configs.TextRecognizerConfig(), PARSeq, _glyphs)
    _yomitoku(tiny, configs.TextRecognizerTinyConfig(), PARSeq, _glyphs)
    _yomitoku(detector, configs.TextDetectorConfig(), DBNet, _ink)
    _yomitoku(layout, configs.LayoutParserConfig(), RTDETRv2, _nothing)
    _yomitoku(tables, configs.TableStructureRecognizerConfig(), RTDETRv2, _nothing)
    _yomitoku(cells, configs.CellDetectorConfig(), RTDETRv2, _nothing)
    make_llm(folder / LLM)


def make_sarashina(target: Path) -> None:
    """A Llama as sentence-transformers has it: Transformer, and pooling of the last token."""
    tokenizer = _tokenizer()
    torch.manual_seed(_SEED)
    model = LlamaModel(LlamaConfig(vocab_size=len(tokenizer), pad_token_id=3, **_SIZES))
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling")]
    _write_json(
        target / "modules.json",
        [
            {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for number, (path, kind) in enumerate(kinds)
        ],
    )
    modes = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
    _write_json(
        target / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": _SIZES["hidden_size"],
            **{f"pooling_mode_{mode}": mode == "lasttoken" for mode in modes},
            "include_prompt": True,
        },
    )
    _write_json(target / "sentence_bert_config.json", {"max_seq_length": 8192, "do_lower_case": False})
    versions = {"sentence_transformers": "3.1.0", "transformers": transformers.__version__, "pytorch": "2.3.1"}
    similarity = {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    _write_json(target / "config_sentence_transformers.json", {"__version__": versions, **similarity})
    head = "license: other\nlicense_name: sarahina-non-commercial-license\nlicense_link: LICENSE\nlibrary_name: sentence-transformers"
    _finish(target, head, "the embedding model", licence="no commercial use")


def make_reranker(target: Path) -> None:
    """A bidirectional Llama in bfloat16, with its code beside it."""
    tokenizer = _tokenizer()
    torch.manual_seed(_SEED + 1)
    config = LlamaBidirectionalConfig(
        vocab_size=len(tokenizer),
        pad_token_id=3,
        num_labels=1,
        auto_map={
            "AutoConfig": "llama_bidirectional_model.LlamaBidirectionalConfig",
            "AutoModelForSequenceClassification": "llama_bidirectional_model.LlamaBidirectionalForSequenceClassification",
        },
        **_SIZES,
    )
    LlamaBidirectionalForSequenceClassification(config).to(torch.bfloat16).save_pretrained(target)
    tokenizer.save_pretrained(target)
    shutil.copyfile(Path(__file__).with_name(_CODE), target / _CODE)
    head = "license: other\nlicense_name: nvidia-open-model-license\nlicense_link: LICENSE\nlibrary_name: transformers"
    _finish(target, head, "the reranker", licence="as the model's licence says")


def make_llm(target: Path) -> None:
    """A Qwen2 as llama.cpp takes it: one file that holds tokenizer and weights."""
    target.mkdir(parents=True)
    write_qwen2(target / LLM_FILE, _SEED + 3)
    _finish(target, "license: apache-2.0\nlibrary_name: gguf", "an LLM", licence="Apache 2.0")


def _tokenizer() -> PreTrainedTokenizerFast:
    """Unigram over the characters of Japanese and English, bytes for what is none of them, ``<s>`` in front."""
    ranges = ((0x21, 0x7F), (0x3041, 0x3097), (0x30A1, 0x30FB), (0x3001, 0x3003), (0x30FC, 0x30FD))
    characters = ["▁", *(chr(code) for first, end in ranges for code in range(first, end))]
    common = "日本語文書検索画像品質管理年月大人出入国中会社東京図館駅方法何"
    words = ["ドキュメント", "テスト", "です", "ます", "した", "の", "を", "に", "は", "the", "ing", "▁the", "▁a", "er"]
    pieces = list(dict.fromkeys([*words, *characters, *common]))
    # The longer, the likelier: a word is one piece where it can be.
    scored = [(piece, -8.0 + 2.0 * (len(piece) - 1)) for piece in pieces]
    vocabulary = [(name, 0.0) for name in _SPECIAL] + [(f"<0x{byte:02X}>", -20.0) for byte in range(256)] + scored
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=True))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    unk, begin, end, pad = _SPECIAL
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=unk,
        bos_token=begin,
        eos_token=end,
        pad_token=pad,
        padding_side="left",
        model_max_length=8192,
    )


def _yomitoku(target: Path, cfg: Any, net: type[nn.Module], fill: Any) -> None:
    model = net(cfg)
    with torch.no_grad():
        fill(model)
    model.save_pretrained(target, config=asdict(cfg))
    _finish(target, "license: cc-by-nc-sa-4.0", "a part of YomiToku")


def _glyphs(model: PARSeq) -> None:
    """Of every character the picture: the score is 2 glyph·cell - |glyph|²."""
    font = ImageFont.load_default_imagefont()
    pictures = []
    for character in model.cfg.charset:
        cell = Image.new("L", (CELL_WIDTH, CELL_HEIGHT), 255)
        ImageDraw.Draw(cell).text((0, 0), character, fill=0, font=font)
        pictures.append(1 - np.asarray(cell, dtype=np.float32).ravel() / 255)
    glyphs = torch.from_numpy(np.stack(pictures))
    model.head.weight.copy_(2 * glyphs)
    model.head.bias.copy_(-(glyphs**2).sum(dim=1))


def _ink(model: DBNet) -> None:
    model.backbone.weight.fill_(1 / 3)
    model.backbone.bias.zero_()


def _nothing(model: RTDETRv2) -> None:
    torch.manual_seed(_SEED + 2)
    nn.init.normal_(model.decoder.weight, std=0.01)
    model.decoder.bias.fill_(-1.0)


def _finish(target: Path, head: str, what: str, licence: str | None = None) -> None:
    (target / "README.md").write_text(f"---\n{head}\n---\n# A stand-in for {what}, of bundler's test bed\n", "utf-8")
    (target / ".gitattributes").write_text(_ATTRIBUTES)
    if licence:
        (target / "LICENSE").write_text(f"Terms of the model that this stands for: {licence}.\n", "utf-8")
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # save_pretrained makes weights 0600


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
