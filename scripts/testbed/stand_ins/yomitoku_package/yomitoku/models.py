"""The networks, small ones of the same names and the same mixin."""

from __future__ import annotations

from typing import Any

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import nn

#: Of a character's cell in the one font that is read, in pixels.
CELL_HEIGHT, CELL_WIDTH = 11, 6


class DBNet(nn.Module, PyTorchModelHubMixin):
    """Ink as a map of probabilities (batch, 1, height, width): one convolution of one pixel over the colours."""

    def __init__(self, cfg: Any) -> None:
        super().__init__()
        self.cfg = cfg
        self.backbone = nn.Conv2d(3, 1, kernel_size=1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """The map."""
        return self.backbone(pixels)


class PARSeq(nn.Module, PyTorchModelHubMixin):
    """Scores of characters (batch, characters) for cells (batch, 3, height, width): the nearest glyph has the highest."""

    def __init__(self, cfg: Any) -> None:
        super().__init__()
        self.cfg = cfg
        self.head = nn.Linear(CELL_HEIGHT * CELL_WIDTH, len(cfg.charset))

    def forward(self, cells: torch.Tensor) -> torch.Tensor:
        """The scores: -|cell - glyph|² without |cell|², which is the same for all glyphs."""
        return self.head(cells.mean(dim=1).flatten(start_dim=1))


class RTDETRv2(nn.Module, PyTorchModelHubMixin):
    """Scores of kinds of elements (batch, kinds) for a picture."""

    def __init__(self, cfg: Any) -> None:
        super().__init__()
        self.cfg = cfg
        self.decoder = nn.Linear(3, cfg.num_classes)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """The scores."""
        return self.decoder(pixels.mean(dim=(2, 3)))
