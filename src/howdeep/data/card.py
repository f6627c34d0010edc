"""Writing a prepared data set: both parts, and the card that says what they are and holds their checksums."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from howdeep.data.prepared import Prepared
from howdeep.files import tensors
from howdeep.files.folders import PREPARED, written_aside
from howdeep.files.seals import checksum, sealed

PARTS = ("train", "test")


def write(prepared: Prepared, folder: Path, *, data: Mapping[str, Any], raw: Path, recipe: str) -> None:
    """Writes the folder aside and renames it: whoever finds it finds it whole.

    Args:
        prepared: what `prepare` returned.
        folder: where it goes; an older one is replaced.
        data: the data set's config: `name`, `sources`, `licence`, `homepage`.
        raw: the folder of the raw files.
        recipe: a digest of all that the bytes are a function of: the card keeps it.

    Raises:
        UserError: something else than a prepared data set lies in `folder`.
    """
    with written_aside(folder, PREPARED) as aside:
        for part in PARTS:
            # save_file would hide the file from others (mode 600), tell a full disk as a broken file, and of a view
            # write what else is in its memory.
            tensors.write(_file(aside, part), getattr(prepared, part))
        card = {name: data[name] for name in ("name", "licence", "homepage")} | prepared.card
        card["raw"] = {source["file"]: checksum(raw / source["file"]) for source in data["sources"]}
        card |= _checksums(aside) | {"recipe": recipe}
        (aside / "card.json").write_bytes(sealed(card))


def _file(folder: Path, part: str) -> Path:
    return folder / f"{part}.safetensors"


def _checksums(folder: Path) -> dict[str, Any]:
    """The checksum of each part, and one of both together: the data set's `digest`."""
    checksums = {part: checksum(_file(folder, part)) for part in PARTS}
    digest = hashlib.sha256("".join(checksums.values()).encode()).hexdigest()
    return {"checksums": checksums, "digest": digest}
