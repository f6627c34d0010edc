"""Image files of any usual kind as pixels of one kind: upright, opaque, of 8 bits, grey or red, green, blue."""

import hashlib
import io
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import IO, NamedTuple, TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from howdeep.errors import UserError

# No EPS, which would start Ghostscript, and none that any bytes would pass for.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF", "JPEG2000")
SHOWN = 10  # of the files that are no good
THREADS = min(8, os.cpu_count() or 1)  # each holds a whole photograph several times
Of = TypeVar("Of")


class BadImage(ValueError):
    """Why a file is no image that can be used, in words that follow its name."""


class Facts(NamedTuple):
    """What a file holds.

    Args:
        size: height and width, upright.
        mode: Pillow's word for how colours are kept, such as RGB, L (grey), P (palette), CMYK, I;16.
        frames: of an animation or a file of several pages; 1 of any other.
        turned: whether EXIF says that the camera was held otherwise.
        grey: whether it shows no colour, whatever its mode.
        digest: of the upright pixels: equal for copies in another format too.
    """

    size: tuple[int, int]
    mode: str
    frames: int
    turned: bool
    grey: bool
    digest: str


def facts(content: bytes) -> Facts:
    """What is in a file, all of which is decoded.

    Raises:
        BadImage: the file is none, or a broken one.
    """
    image, mode, frames, turned = _opened(content)
    pixels = np.asarray(image)
    grey = image.mode == "L" or bool((pixels == pixels[..., :1]).all())
    digest = hashlib.sha256(f"{pixels.shape}".encode() + np.asarray(image.convert("RGB")).tobytes())
    return Facts((image.height, image.width), mode, frames, turned, grey, digest.hexdigest())


def pixels(content: bytes, size: Sequence[int], channels: int) -> np.ndarray:
    """The pixels of a file, uint8 (channels, height, width).

    EXIF's orientation is applied. What is transparent shows white. Palettes and CMYK become red, green, blue, without
    their colour profile; 16 bits become 8. Grey is 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601). Of an animation
    it is the first frame. An image of another size is stretched to this one by Pillow's bicubic filter, which spans all
    pixels that become one, so that nothing aliases.

    Args:
        size: height and width.
        channels: 1 for grey, 3 for red, green, blue.

    Raises:
        BadImage: the file is no image, or a broken one.
    """
    image = _opened(content)[0].convert("L" if channels == 1 else "RGB")
    height, width = size
    resized = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
    return np.ascontiguousarray(resized.reshape(height, width, channels).transpose(2, 0, 1))


def png(pixels: np.ndarray) -> bytes:
    """The pixels, uint8 (height, width, channels), as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(file, "PNG")
    return file.getvalue()


def is_image(file: IO[bytes]) -> bool:
    """Whether a file begins as an image does, whatever it is called."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(file, formats=_formats()):
            return True
    except Exception:  # Pillow's readers raise anything of a file that is none
        return False


def each(
    names: Sequence[str], read: Callable[[str], bytes], of: Callable[[bytes], Of], where: str
) -> list[Of]:
    """`of` the content of every file, in the order of the names; decoding runs in threads.

    Raises:
        UserError: the files that are no good, all of them at once.
    """

    def one(name: str) -> Of | BadImage:
        try:
            return of(read(name))
        except BadImage as error:
            return error
        except OSError as error:
            return BadImage(f"cannot be read: {error.strerror or error}")

    with warnings.catch_warnings(), ThreadPoolExecutor(THREADS) as pool:
        warnings.filterwarnings("ignore", module="PIL")  # of comments in files; spoiled pixels are errors
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        found = list(pool.map(one, names))
    bad = [(name, of) for name, of in zip(names, found, strict=True) if isinstance(of, BadImage)]
    if bad:
        told = ", ".join(f"{name} ({why})" for name, why in bad[:SHOWN])
        more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise UserError(
            f"{where}: expected images, but {len(bad)} of {len(names)} are no good: {told}{more}: save them as PNG, or "
            "take them away"
        )
    return [of for of in found if not isinstance(of, BadImage)]


def _opened(content: bytes) -> tuple[Image.Image, str, int, bool]:
    """The image, grey (L) or RGB; the mode of the file, its frames, and whether it was turned."""
    if not content:
        raise BadImage("it is empty")
    try:
        with Image.open(io.BytesIO(content), formats=_formats()) as image:
            mode, kind = image.mode, image.format
            # An MPO is a photograph with another view of it, such as a small one.
            frames = 1 if kind == "MPO" else getattr(image, "n_frames", 1)
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
            upright = ImageOps.exif_transpose(image)
    except UnidentifiedImageError:
        raise BadImage(f"it holds no {', '.join(FORMATS[:-1])} or {FORMATS[-1]}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImage(f"it has more than {Image.MAX_IMAGE_PIXELS} pixels") from None
    except Exception as error:  # Pillow's readers raise anything of a broken file
        raise BadImage(" ".join(str(error).split()) or type(error).__name__) from None
    try:
        plain = _plain(upright, kind)
    except ValueError as error:  # a mode that Pillow does not convert, such as LAB
        raise BadImage(str(error)) from None
    return plain, mode, frames, turned


def _plain(image: Image.Image, kind: str | None) -> Image.Image:
    """Grey (L) or RGB, over white, of 8 bits."""
    if image.mode == "F" or (image.mode == "I" and kind != "PPM"):  # Pillow brings any PGM to 16 bits
        raise BadImage("its numbers of 32 bits have no white: save it with 8 or 16")
    if image.mode.startswith("I"):
        numbers = np.asarray(image)
        return Image.fromarray(((numbers.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


@cache
def _formats() -> tuple[str, ...]:
    """Those that the installed Pillow has."""
    known = set(Image.registered_extensions().values())
    return tuple(name for name in FORMATS if name in known)
