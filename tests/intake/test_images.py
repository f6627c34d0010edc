"""Image files of every kind as pixels, against Pillow and numpy on their own; what is no good, all at once."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageDraw

from howdeep.errors import UserError
from howdeep.intake import images
from howdeep.intake.images import BadImage, each, facts, pixels

COLOURS = np.random.RandomState(0).randint(0, 256, (5, 7, 3)).astype(np.uint8)


def file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def shown(content: bytes, channels: int = 3) -> np.ndarray:
    """At its own size, (height, width, channels)."""
    return pixels(content, facts(content).size, channels).transpose(1, 2, 0)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_what_keeps_pixels_gives_them_back(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(shown(file(Image.fromarray(COLOURS), kind, **options)), COLOURS)


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (2, np.fliplr),
        (3, lambda x: np.rot90(x, 2)),
        (4, np.flipud),
        (5, lambda x: x.swapaxes(0, 1)),
        (6, lambda x: np.rot90(x, -1)),
        (7, lambda x: np.rot90(x, 2).swapaxes(0, 1)),
        (8, np.rot90),
    ],
)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_exif_turns_an_image_upright(orientation, turn, kind):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = file(Image.fromarray(COLOURS), kind, exif=exif)
    upright = turn(COLOURS)
    np.testing.assert_array_equal(shown(content), upright)
    assert facts(content).size == upright.shape[:2]
    assert facts(content).turned


def test_a_jpeg_is_what_pillow_decodes():
    content = file(Image.fromarray(COLOURS), "JPEG")
    np.testing.assert_array_equal(shown(content), np.asarray(Image.open(io.BytesIO(content))))


def test_a_palette_shows_its_colours_and_what_is_transparent_in_it_is_white():
    image = Image.new("P", (2, 1))
    image.putpalette([250, 0, 0, 0, 0, 250])
    image.putpixel((1, 0), 1)
    np.testing.assert_array_equal(shown(file(image))[0], [[250, 0, 0], [0, 0, 250]])
    np.testing.assert_array_equal(shown(file(image, transparency=0))[0], [[255, 255, 255], [0, 0, 250]])


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_lets_white_through_by_its_share(mode):
    alpha = np.arange(0, 256, 5, dtype=np.uint8)[None]  # (1, 52)
    grey = Image.fromarray(np.full_like(alpha, 40))
    image = Image.merge(mode, [*[grey] * (len(mode) - 1), Image.fromarray(alpha)])
    expected = 255 + (40 - 255) * (alpha / 255)
    assert np.abs(shown(file(image), 1)[..., 0] - expected).max() <= 1


def test_cmyk_becomes_red_green_blue():
    image = Image.new("CMYK", (1, 1), (0, 255, 255, 0))  # red, as inks
    np.testing.assert_array_equal(shown(file(image, "TIFF"))[0, 0], [255, 0, 0])


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bits_become_8_at_the_same_brightness(kind):
    values = np.array([[0, 128, 129, 257, 30000, 65535]], dtype=np.uint16)
    content = file(Image.fromarray(values), kind)
    np.testing.assert_array_equal(shown(content, 1)[..., 0], np.round(values / 257))


def test_colours_become_grey_as_the_eye_sees_them():
    content = file(Image.fromarray(COLOURS))
    expected = COLOURS @ np.array([0.299, 0.587, 0.114])
    assert np.abs(shown(content, 1)[..., 0] - expected).max() <= 1


def test_black_and_white_has_the_whole_range():
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    np.testing.assert_array_equal(shown(file(image), 1)[0, :, 0], [0, 255])


def test_of_an_animation_it_is_the_first_frame():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime", "blue")]
    content = file(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(shown(content)[0, 0], [255, 0, 0])
    assert facts(content).frames == 3


def test_sizes_are_pillows_bicubic():
    image = Image.fromarray(np.random.RandomState(1).randint(0, 256, (40, 30, 3)).astype(np.uint8))
    oracle = np.asarray(image.resize((6, 8), Image.Resampling.BICUBIC))  # width, height
    np.testing.assert_array_equal(pixels(file(image), (8, 6), 3), oracle.transpose(2, 0, 1))


def test_fine_stripes_made_smaller_are_grey_and_no_other_stripes():
    image = Image.new("L", (64, 64))
    draw = ImageDraw.Draw(image)
    for column in range(0, 64, 2):
        draw.line([(column, 0), (column, 63)], fill=255)
    inner = pixels(file(image), (8, 8), 1)[0, 1:-1, 1:-1].astype(int)
    assert np.abs(inner - 127).max() <= 3


def test_grey_is_what_is_seen_and_no_matter_of_the_mode():
    grey = Image.fromarray(COLOURS[..., 0])
    assert facts(file(grey.convert("RGB"))).grey
    assert facts(file(grey.convert("P"))).grey
    assert not facts(file(Image.fromarray(COLOURS))).grey


def test_copies_have_one_digest_in_any_format():
    image = Image.fromarray(COLOURS)
    assert facts(file(image)).digest == facts(file(image, "BMP")).digest
    assert facts(file(image)).digest != facts(file(image.rotate(180))).digest


def cut(kind: str) -> bytes:
    whole = file(
        Image.fromarray(np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)), kind
    )
    return whole[: len(whole) // 2]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"no image at all", "it holds no PNG, JPEG"),
        (cut("PNG"), "truncated"),
        (cut("JPEG"), "truncated"),
        (cut("TIFF"), "truncated|EXIF"),
        (file(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF"), "32 bits"),
        (file(Image.fromarray(np.ones((2, 2), np.int32)), "TIFF"), "32 bits"),
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
            "it holds no",
        ),  # starts no Ghostscript
    ],
)
def test_a_file_that_is_no_good_says_why(content, words):
    for use in (facts, lambda of: pixels(of, (2, 2), 1)):
        with pytest.raises(BadImage, match=words):
            use(content)


def test_all_files_that_are_no_good_are_told_at_once_and_good_ones_come_in_order():
    good = {f"{n:02}.png": file(Image.new("L", (1, 1), n)) for n in range(30)}
    found = each(list(good), good.__getitem__, lambda of: int(pixels(of, (1, 1), 1)[0, 0, 0]), "pets")
    assert found == list(range(30))
    bad = good | {f"{n:02}.png": b"text" for n in range(5, 17)} | {"20.png": b""}
    with pytest.raises(
        UserError, match=r"pets: expected images, but 13 of 30 are no good: 05\.png \(it"
    ) as error:
        each(list(bad), bad.__getitem__, facts, "pets")
    assert "14.png" in str(error.value)
    assert "15.png" not in str(error.value)
    assert "and 3 more" in str(error.value)


@pytest.mark.parametrize("times", [1.5, 3])  # Pillow warns of the one and refuses the other
def test_an_image_of_too_many_pixels_is_refused_before_it_fills_the_memory(monkeypatch, times):
    content = file(Image.new("L", (40, 40)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", int(1600 / times))
    with pytest.raises(UserError, match=r"big\.png \(it has more than \d+ pixels\)"):
        each(["big.png"], lambda _: content, facts, "pets")


def test_a_file_that_cannot_be_read_is_one_of_those(tmp_path):
    with pytest.raises(UserError, match=r"gone\.png \(cannot be read: No such file"):
        each(["gone.png"], lambda name: (tmp_path / name).read_bytes(), facts, "pets")


def test_content_tells_an_image_and_no_name():
    assert images.is_image(io.BytesIO(file(Image.new("L", (1, 1)))))
    assert not images.is_image(io.BytesIO(b"P5 is no image"))
