"""Image files to pixels: what scanners and telephones write, or an error that says what is not understood.

A kind of pixel that is converted by guess becomes an empty page, without an error.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

#: Width times height.
_MOST_PIXELS = 50_000_000
_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")
#: Of 8 bits or less, which the library makes RGB of as they look. 16 bits of grey are scaled here.
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}
_GREY_16 = {"I;16", "I;16B", "I;16L"}
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # tags of TIFF 6.0, section 8
Picture = NDArray[np.uint8]


class NotAPageError(Exception):
    """What was sent is no picture that can be read; ``too_large`` where that is the reason."""

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


def decode(content: bytes) -> Picture:
    """The pixels of an image file (height, width, BGR), upright, on white. Raises NotAPageError."""
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            _require_one_page(image)
            upright = np.asarray(_on_white(ImageOps.exif_transpose(_of_8_bits(image))))
    except NotAPageError:
        raise
    except Image.DecompressionBombError as error:
        raise NotAPageError(f"the picture is too large: {error}", too_large=True) from error
    except Exception as error:  # decoders raise what they like
        raise NotAPageError(f"not a picture that can be read ({', '.join(_FORMATS)}): {error}") from error
    return np.ascontiguousarray(upright[:, :, ::-1])


def _require_one_page(image: Image.Image) -> None:
    width, height = image.size
    if width * height > _MOST_PIXELS:
        raise NotAPageError(f"the picture has {width} x {height} pixels, {_MOST_PIXELS:,} are the most", too_large=True)
    pages = getattr(image, "n_frames", 1)
    # A telephone's JPEG (MPO) has its picture first, and then a preview or the depth of the same.
    if pages > 1 and image.format != "MPO":
        raise NotAPageError(f"not one picture: the file has {pages} pages or frames; send each by itself")


def _of_8_bits(image: Image.Image) -> Image.Image:
    if image.mode in _MODES:
        return image
    if image.mode not in _GREY_16 or "transparency" in image.info:
        raise NotAPageError(f"not a picture that can be read: its pixels are of the kind {image.mode}")
    tags = getattr(image, "tag_v2", {})
    white = (1 << tags.get(_BITS, (16,))[0]) - 1
    grey = (np.asarray(image).astype(np.float32) * (255 / white)).round().astype(np.uint8)
    scaled = Image.fromarray(255 - grey if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else grey)
    scaled.info, scaled._exif = image.info, image.getexif()  # which way is up
    return scaled


def _on_white(image: Image.Image) -> Image.Image:
    """What is transparent shows the paper: black text on nothing would be black on black."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    seen = image.convert("RGBA")
    page = Image.new("RGB", seen.size, "white")
    page.paste(seen, mask=seen.getchannel("A"))
    return page
