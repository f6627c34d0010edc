"""Examples that are images: files, base64, or a column a pixel."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from howdeep.encoding.inputs import Source, listed, standardised
from howdeep.encoding.numbers import Numbers
from howdeep.errors import UserError
from howdeep.intake import images
from howdeep.intake.reading import Sheet

COLUMN = "image"


class Images(Numbers):
    """An image a row, in the column `image`: decoded and resized as in preparation, shape (channels, height, width).

    Args:
        low, high: what black and white are in the numbers of the data set.
    """

    low: float = 0.0
    high: float = 255.0

    @classmethod
    def of(cls, data: Mapping[str, Any], card: Mapping[str, Any]) -> Self:
        low, high = card.get("pixels", card["range"]["raw"])
        return cls(
            shape=list(data["in_shape"]),
            mean=listed(card["mean"]),
            std=listed(card["std"]),
            low=low,
            high=high,
        )

    def columns(self) -> dict[str, str]:
        return {COLUMN: "text"}

    def check(self, sheet: Sheet, file: str) -> None:
        if COLUMN not in sheet.names:
            super().check(sheet, file)

    def encoded(self, sheet: Sheet, source: Source) -> np.ndarray:
        if COLUMN not in sheet.names:
            return super().encoded(sheet, source)
        channels, *size = self.shape
        words = sheet.column(COLUMN)
        names = words if source.folder else [f"row {line}" for line in sheet.lines]
        of = dict(zip(names, words, strict=True))

        def content(name: str) -> bytes:
            if source.folder is not None:
                return (source.folder / name).read_bytes()
            try:
                return base64.b64decode(of[name], validate=True)
            except binascii.Error:
                raise images.BadImage("it is no base64") from None

        try:
            found = images.each(
                names, content, lambda found: images.pixels(found, size, channels), source.file
            )
        except UserError:
            raise
        except ValueError as error:  # a path with a byte of 0
            raise UserError(f"{source.file}: expected paths of images ({error})") from None
        x = np.stack(found).reshape(len(found), -1) * ((self.high - self.low) / 255) + self.low
        return standardised(x, self.mean, self.std)

    def pixels(self, x: np.ndarray) -> np.ndarray:
        """What a network's numbers look like, (n, height, width, channels) uint8."""
        shares = (self.raw(x) - self.low) / (self.high - self.low)
        levels = (shares.clip(0, 1) * 255).round().astype(np.uint8)
        return levels.reshape(len(x), *self.shape).transpose(0, 2, 3, 1)

    def example(self) -> list[dict[str, float | str]]:
        """An image of the mean brightness, as base64."""
        channels, *size = self.shape
        level = round(float(np.mean(self.mean) - self.low) / (self.high - self.low) * 255)
        grey = np.full((*size, channels), level, dtype=np.uint8)
        return [{COLUMN: base64.b64encode(images.png(grey)).decode()}]
