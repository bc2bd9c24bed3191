"""One page in all the kinds of files that scanners write: python ocr_rag_pictures.py LINES > FILES, both JSON.

A result is an object with the files in hexadecimal digits, by names.
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import numpy as np
from PIL import Image

from testbed.stand_ins.page import draw_page


def files(page: Image.Image) -> dict[str, bytes]:
    """``page`` is black on white. Of a whole page come the first ones; the last ones are none that is understood."""
    grey = np.asarray(page.convert("L"))
    deep = Image.fromarray(np.maximum(grey.astype(np.uint16) * 257, 4000))  # no scanner's black is 0
    clear = Image.new("RGBA", page.size, (0, 0, 0, 0))
    clear.putalpha(Image.fromarray(255 - grey))
    palette = page.convert("P")
    return {
        "bilevel TIFF": written(page.convert("1"), "TIFF", compression="group4"),
        "CMYK TIFF": written(page.convert("CMYK"), "TIFF"),
        "WebP": written(page, "WEBP", lossless=True),
        "black on nothing": written(clear, "PNG"),
        "black on nothing, grey": written(clear.convert("LA"), "PNG"),
        "a palette with a colour that is nothing": written(palette, "PNG", transparency=palette.getpixel((0, 0))),
        "16 bits of grey, PNG": written(deep, "PNG"),
        "16 bits of grey, TIFF": written(deep, "TIFF"),
        "16 bits of grey, white is 0": written(Image.fromarray(65535 - np.asarray(deep)), "TIFF", tiffinfo={262: 0}),
        "16 bits of grey, lying": written(deep.transpose(Image.Transpose.ROTATE_90), "TIFF", tiffinfo={274: 6}),
        "numbers with a point": written(Image.fromarray(grey.astype(np.float32) / 255), "TIFF"),
        "32 bits": written(Image.fromarray(grey.astype(np.int32)), "TIFF"),
        "two pages": written(page, "TIFF", save_all=True, append_images=[page]),
        "GIF": written(page, "GIF"),
        "AVIF": written(page, "AVIF"),
        "an AVIF that is cut": written(page, "AVIF")[:-40],
        "a TIFF that is cut": written(page, "TIFF")[:-40],
    }


def written(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image file."""
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


if __name__ == "__main__":
    drawn = Image.open(io.BytesIO(draw_page(json.loads(sys.argv[1]))))
    print(json.dumps({name: content.hex() for name, content in files(drawn).items()}))
