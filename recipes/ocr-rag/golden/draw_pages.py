"""Draw the pages whose reading is recorded, into ../backend/pages: they travel in the application's image.

    apt-get install fonts-ipafont-gothic && pip install pillow && python draw_pages.py

One page of text and one with a table, each with Japanese and Latin words. They are kept as they were drawn, since another
font or another release of Pillow would draw other pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

PAGES = Path(__file__).resolve().parents[1] / "backend" / "pages"
FONT = "/usr/share/fonts/opentype/ipafont-gothic/ipag.ttf"
SIZE, LINE, MARGIN, COLUMN = 32, 56, 60, 260
LINES = (
    "東京の図書館",
    "日本の歴史についての本を三冊借りました。",
    "The library lends books until 8 p.m.",
    "返却は 2026年12月24日 (木) までです。",
)
TABLE = (("曜日", "Open", "Close"), ("月曜日", "9:00", "17:30"), ("土曜日", "10:00", "20:00"))


def text_page(lines: Sequence[str]) -> Image.Image:
    """Lines from the top, black on white."""
    page, draw, font = _blank(900, 2 * MARGIN + LINE * len(lines))
    for number, line in enumerate(lines):
        draw.text((MARGIN, MARGIN + LINE * number), line, fill=0, font=font)
    return page


def table_page(rows: Sequence[Sequence[str]]) -> Image.Image:
    """A ruled table."""
    width, height = COLUMN * len(rows[0]), LINE * len(rows)
    page, draw, font = _blank(2 * MARGIN + width, 2 * MARGIN + height)
    for row in range(len(rows) + 1):
        draw.line((MARGIN, MARGIN + LINE * row, MARGIN + width, MARGIN + LINE * row), fill=0, width=2)
    for column in range(len(rows[0]) + 1):
        draw.line((MARGIN + COLUMN * column, MARGIN, MARGIN + COLUMN * column, MARGIN + height), fill=0, width=2)
    for row, texts in enumerate(rows):
        for column, text in enumerate(texts):
            draw.text((MARGIN + COLUMN * column + 20, MARGIN + LINE * row + 12), text, fill=0, font=font)
    return page


def _blank(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw, ImageFont.FreeTypeFont]:
    page = Image.new("L", (width, height), 255)
    return page, ImageDraw.Draw(page), ImageFont.truetype(FONT, SIZE)


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    text_page(LINES).save(PAGES / "library.png", optimize=True)
    table_page(TABLE).save(PAGES / "opening-hours.png", optimize=True)
