"""What each model's settings are where no YAML file says otherwise."""

from __future__ import annotations

from dataclasses import dataclass

_OWNER = "KotaroKinoshita"


@dataclass(frozen=True)
class TextDetectorConfig:
    """``thresh``: how much ink, from 0 to 1, makes a row of pixels part of a line."""

    hf_hub_repo: str = f"{_OWNER}/yomitoku-text-detector-dbnet-v2_1"
    thresh: float = 0.001


@dataclass(frozen=True)
class TextRecognizerConfig:
    """``charset``: what the outputs stand for, in their order."""

    hf_hub_repo: str = f"{_OWNER}/yomitoku-text-recognizer-parseq-large-v4_1"
    charset: str = "".join(map(chr, range(32, 127)))


@dataclass(frozen=True)
class TextRecognizerTinyConfig(TextRecognizerConfig):
    """The one of ``--lite``."""

    hf_hub_repo: str = f"{_OWNER}/yomitoku-text-recognizer-parseq-tiny-dynw-v4"


@dataclass(frozen=True)
class LayoutParserConfig:
    """Six kinds of elements."""

    hf_hub_repo: str = f"{_OWNER}/yomitoku-layout-parser-rtdtrv2-v2"
    thresh_score: float = 0.5
    num_classes: int = 6


@dataclass(frozen=True)
class TableStructureRecognizerConfig:
    """Rows, columns, spans."""

    hf_hub_repo: str = f"{_OWNER}/yomitoku-table-structure-recognizer-rtdtrv2-open-beta"
    thresh_score: float = 0.4
    num_classes: int = 3


@dataclass(frozen=True)
class CellDetectorConfig:
    """Six kinds of cells."""

    hf_hub_repo: str = f"{_OWNER}/yomitoku-cell-detector-rtdtrv2-v1"
    thresh_score: float = 0.5
    num_classes: int = 6
