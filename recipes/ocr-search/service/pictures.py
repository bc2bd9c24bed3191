"""Uploaded bytes to pixels: PNG and JPEG within limits, anything else is refused with what was wrong."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Pixels = NDArray[np.uint8]
MAX_BYTES = 10 << 20
MAX_PIXELS = 25_000_000  # an A4 page at 500 dpi has 24 million
MIN_SIDE = 32
#: By the name that Pillow gives to the format.
MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg"}


class PictureError(Exception):
    """The bytes are no page that can be read; ``status`` is HTTP's for their sender."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Picture:
    """A page as it was sent and, in BGR (height, width, 3) as OpenCV has it, as it is seen: turned as EXIF says."""

    content: bytes
    media_type: str
    pixels: Pixels

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        height, width = self.pixels.shape[:2]
        return width, height


def decode(content: bytes) -> Picture:
    """Read a PNG or JPEG. Raises PictureError: 415 for another format, 413 for too many pixels, 400 for a broken one."""
    try:
        image = Image.open(io.BytesIO(content), formats=list(MEDIA_TYPES))
    except Image.DecompressionBombError as error:
        raise PictureError(f"the picture has more than {MAX_PIXELS} pixels", 413) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise PictureError("neither a PNG nor a JPEG", 415) from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise PictureError(f"{width} x {height} pixels are more than {MAX_PIXELS}", 413)
    if min(width, height) < MIN_SIDE:
        raise PictureError(f"{width} x {height} pixels: a side has to have {MIN_SIDE} at least")
    try:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise PictureError(f"the picture is not whole: {error}") from error
    return Picture(content, MEDIA_TYPES[str(image.format)], np.ascontiguousarray(np.asarray(upright)[:, :, ::-1]))
