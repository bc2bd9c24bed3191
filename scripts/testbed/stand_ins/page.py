"""Pages that the stand-in of YomiToku reads: black lines in Pillow's bitmap font on white.

A line with ``|`` is a row of a table, one that begins with ``#`` stands in a figure (``yomitoku/elements.py`` there).
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

#: From the top of one line to that of the next, and the margin, in pixels.
LINE, MARGIN = 20, 12


def draw_page(lines: Sequence[str], kind: str = "PNG") -> bytes:
    """An image file with the lines from the top; ASCII only."""
    font = ImageFont.load_default_imagefont()
    width = int(max(font.getlength(line) for line in lines)) + 2 * MARGIN
    page = Image.new("RGB", (width, LINE * len(lines) + 2 * MARGIN), "white")
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        draw.text((MARGIN, MARGIN + LINE * number), line, fill="black", font=font)
    content = io.BytesIO()
    page.save(content, kind)
    return content.getvalue()
