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
_FORMATS = ("PNG", "JPEG")
#: By the name that Pillow gives to what was opened. MPO is a JPEG with others behind it, such as previews of phones: the first
#: is the picture.
_MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "MPO": "image/jpeg"}
#: What is turned into colours without a loss that matters; 16-bit grey is looked at by itself.
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}
_GREY_16 = "I;16"


class PictureError(Exception):
    """The bytes are no page that can be read; ``status`` is HTTP's for their sender."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Picture:
    """A page as it was sent; ``size`` is its width and height in pixels as it is seen: turned as EXIF says."""

    content: bytes
    media_type: str
    size: tuple[int, int]

    def pixels(self) -> Pixels:
        """In BGR (height, width, 3) as OpenCV has it; made anew each time, since all pages' would fill the memory."""
        return _bgr(_upright(_opened(self.content)))


def decode(content: bytes) -> Picture:
    """Look at a PNG or JPEG. Raises PictureError: 415 for another format, 413 for too many pixels, 400 for a broken one."""
    image = _opened(content)
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise PictureError(f"{width} x {height} pixels are more than {MAX_PIXELS}", 413)
    if min(width, height) < MIN_SIDE:
        raise PictureError(f"{width} x {height} pixels: a side has to have {MIN_SIDE} at least")
    if image.format == "PNG" and getattr(image, "n_frames", 1) > 1:
        raise PictureError("an animated PNG: one picture is one page")
    return Picture(content, _MEDIA_TYPES[str(image.format)], _upright(image).size)


def _opened(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise PictureError(f"the picture has more than {MAX_PIXELS} pixels", 413) from error
    except Exception as error:  # decoders raise what they like on broken bytes
        raise PictureError("neither a PNG nor a JPEG", 415) from error


def _upright(image: Image.Image) -> Image.Image:
    """As it is seen, in RGB. Raises PictureError where the bytes do not hold it."""
    try:
        return opaque(ImageOps.exif_transpose(image))
    except PictureError:
        raise
    except Exception as error:  # decoders raise what they like on broken bytes
        raise PictureError(f"the picture is not whole: {error}") from error


def opaque(image: Image.Image) -> Image.Image:
    """In RGB, on white where one sees through it. Raises PictureError for pixels that are no colours."""
    if image.mode == _GREY_16:  # Pillow would cut off what is above 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode not in _MODES:
        raise PictureError(f"pixels of the kind {image.mode} are not read: save it in RGB or in grey")
    if not image.has_transparency_data:
        return image.convert("RGB")
    page = Image.new("RGBA", image.size, "white")
    page.alpha_composite(image.convert("RGBA"))
    return page.convert("RGB")


def _bgr(image: Image.Image) -> Pixels:
    return np.ascontiguousarray(np.asarray(image)[:, :, ::-1])
