"""Draw the pages of this folder as if they had been scanned: `NAME.txt` becomes `NAME.jpg`, the same bytes each time.

    python draw.py FOLDER

Each stands a little askew, on paper that is not quite white, out of focus, with grain, stains, and the marks of JPEG. How
much of each follows from the page's name. The font is the one inside Pillow: nothing of the host is used.
"""

from __future__ import annotations

import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIZE = (840, 640)  # pixels; three quarters of a post card at 200 dpi
MARGIN, LINE, GAP = (70, 60), 46, 30
INK, LETTERS = 45, 32
_HERE = Path(__file__).resolve().parent


def draw(text: str, seed: int) -> Image.Image:
    """A page in shades of grey."""
    chance = np.random.default_rng(seed)
    sheet = Image.new("L", SIZE, color=int(chance.integers(222, 246)))
    _write(ImageDraw.Draw(sheet), text)
    sheet = sheet.rotate(chance.uniform(-1.8, 1.8), Image.Resampling.BICUBIC, fillcolor=sheet.getpixel((2, 2)))
    sheet = sheet.filter(ImageFilter.GaussianBlur(chance.uniform(0.5, 1.0)))
    grain = chance.normal(0, chance.uniform(4, 9), (SIZE[1], SIZE[0]))
    light = np.linspace(0, chance.uniform(-25, 25), SIZE[0])  # the lamp of a scanner is brighter at one side
    return Image.fromarray(np.clip(np.asarray(sheet) + grain + light, 0, 255).astype(np.uint8))


def _write(pen: ImageDraw.ImageDraw, text: str) -> None:
    font = ImageFont.load_default(size=LETTERS)
    x, y = MARGIN
    for line in text.splitlines():
        pen.text((x, y), line, fill=INK, font=font)
        y += LINE if line else GAP


def main() -> int:
    """Draw every text beside this program into the folder."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(_HERE.glob("*.txt")):
        seed = zlib.crc32(path.stem.encode())
        quality = 45 + seed % 30
        draw(path.read_text("utf-8"), seed).save(folder / f"{path.stem}.jpg", quality=quality)
    return 0


if __name__ == "__main__":
    sys.exit(main())
