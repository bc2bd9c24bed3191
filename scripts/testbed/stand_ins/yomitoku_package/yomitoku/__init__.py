"""A stand-in for YomiToku 0.14, whose torchvision does not import beside every build of torch.

Loading is the library's: classes of the same names and arguments, ``Net.from_pretrained(hf_hub_repo, cfg=cfg)`` with
nothing else, ``path_cfg`` for a YAML file of one's own, ONNX exports in the package's directory. What it computes is
small and honest: pages in one bitmap font are read, see ``models.py``.
"""

from importlib.metadata import version

from yomitoku.document_analyzer import OCR, DocumentAnalyzer
from yomitoku.layout import LayoutAnalyzer, LayoutParser, TableStructureRecognizer
from yomitoku.table_semantic_parser import TableSemanticParser
from yomitoku.text import TextDetector, TextRecognizer

__all__ = [
    "OCR",
    "DocumentAnalyzer",
    "LayoutAnalyzer",
    "LayoutParser",
    "TableSemanticParser",
    "TableStructureRecognizer",
    "TextDetector",
    "TextRecognizer",
]
__version__ = version(__package__)
