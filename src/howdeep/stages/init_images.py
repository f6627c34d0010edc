"""What `howdeep init` proposes for images: a folder of class folders, or a table of paths and classes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from howdeep.errors import UserError
from howdeep.files.seals import checksum
from howdeep.intake import archives, folders, images
from howdeep.intake.image_sets import Set, check_parts, of_folder, of_table
from howdeep.intake.images import Facts
from howdeep.names import is_name
from howdeep.stages.proposals import (
    MARGIN_OF_CLASSES,
    TEST,
    VALIDATION,
    Asked,
    Proposal,
    config_of,
    few_told,
    refuse,
)

LARGEST = 32  # pixels of the longer side that are proposed: cores train larger ones for hours
SHOWN = 20  # classes
OF_PARTS = (
    "split",
    "part",
    "set",
    "subset",
    "fold",
    "dataset",
    "partition",
)  # columns that say what a row is for


def propose_images(asked: Asked, name: str) -> Proposal:
    """Every image is decoded once, so that none that is no good gets into a project.

    Raises:
        UserError: no images, some that are no good, classes that cannot be compared, an option that images have not.
    """
    _check_options(asked)
    if not asked.data.exists():
        raise UserError(
            f"expected a folder of images, or a CSV of their paths, as --data, found none at {asked.data}"
        )
    found = of_folder(asked.data) if asked.data.is_dir() else of_table(asked.data, asked.target, asked.group)
    paths = dict(zip(found.names, found.paths, strict=True))
    facts = images.each(found.names, lambda of: paths[of].read_bytes(), images.facts, str(asked.data))
    classes = folders.in_order(found.labels)
    counts = Counter(found.labels)
    folders.check_classes({of: counts[of] for of in classes}, str(asked.data), _advice(asked, classes))
    check_parts(found, str(asked.data))
    grey = all(of.grey for of in facts)
    size, channels = _size(facts), 1 if grey else 3
    tests = found.parts.count("test") or round(len(found.names) * TEST)
    lines = [
        f"{asked.data.name}: {len(found.names)} images of {len(classes)} classes",
        *_classes_told(classes, counts),
        *found.lines,
        *_facts_told(facts, size, grey),
        f"split: {_split_told(found)}",
        *few_told(tests, "images"),
        *_copies_told(found, facts),
    ]  # fmt: skip
    archive, listed, given = f"{name}.zip", asked.data.is_file(), found.split["split"] == "given"
    table = asked.data.name if is_name(asked.data.name) else f"{name}{asked.data.suffix}"
    prepare = {
        "_target_": f"howdeep.data.own_images.{'prepare_listed' if listed else 'prepare'}", "_partial_": True,
        "archive": archive, **({"file": table} if listed else {}), **found.keys, "size": size, "channels": channels,
        "classes": classes, **found.split,
        **({} if given else {"test_fraction": TEST, "seed": 0}),
    }  # fmt: skip
    how = "own_table.grouped" if found.split["split"] == "group" else "examples.labelled"
    if given and found.split["validation"]:
        how = "own_table.given"
    drawn = {} if how == "own_table.given" else {"validation_fraction": VALIDATION, "seed": 0}
    examples = {
        "_target_": f"howdeep.data.{how}", "_partial_": True, "in_shape": "${data.in_shape}", **drawn
    }  # fmt: skip
    in_shape = [f"${{data.prepare.{of}}}" for of in ("channels", "size[0]", "size[1]")]
    config = config_of(asked, name, "classification", prepare, examples, in_shape, len(classes))

    def bring(folder: Path) -> list[dict[str, Any]]:
        archives.pack(sorted(paths.items()), folder / archive)
        if listed:
            (folder / table).write_bytes(asked.data.read_bytes())
        files = [archive, *([table] if listed else [])]
        return [{"file": of, "local": f"source/{of}", "sha256": checksum(folder / of)} for of in files]

    notes = {
        "prepare.size": "height and width, to which images are stretched",
        "prepare.channels": "1: grey, 3: red, green, blue",
        "in_shape": "channels, height, width",
        "out_features": "classes",
    }
    return Proposal(
        name,
        lines,
        config,
        "classification",
        ("cnn", "mlp"),
        len(found.names),
        MARGIN_OF_CLASSES,
        bring,
        notes,
    )


def _check_options(asked: Asked) -> None:
    if asked.task not in (None, "classification"):
        raise UserError(f"--task must be classification for images, got '{asked.task}'")
    refuse(asked, "images", "--time", "--missing", "--drop-missing-targets", "--horizon", "--known")
    if asked.data.is_dir():
        refuse(asked, "a folder of images, whose classes are its folders", "--target", "--group")


def _advice(asked: Asked, classes: Sequence[str]) -> str:
    if asked.data.is_dir() and len(classes) == 1 and (asked.data / classes[0]).is_dir():
        return f"if its folders are the classes, --data {asked.data / classes[0]}"
    return (
        "name the column of classes with --target"
        if asked.data.is_file()
        else "name a folder of class folders"
    )


def _classes_told(classes: Sequence[str], counts: Mapping[str, int]) -> list[str]:
    width = max(map(len, classes[:SHOWN]))
    more = [f"  and {len(classes) - SHOWN} more"] if len(classes) > SHOWN else []
    return [f"  {of.ljust(width)}  {counts[of]}" for of in classes[:SHOWN]] + more


def _size(facts: Sequence[Facts]) -> list[int]:
    """The median height and width, made smaller alike until neither is above `LARGEST`."""
    height, width = np.median([of.size for of in facts], axis=0)
    scale = min(1.0, LARGEST / max(height, width))
    return [max(1, round(float(side) * scale)) for side in (height, width)]


def _facts_told(facts: Sequence[Facts], size: Sequence[int], grey: bool) -> list[str]:
    sizes = sorted({of.size for of in facts}, key=lambda of: (of[0] * of[1], of))
    span = (
        _told(sizes[0]) if len(sizes) == 1 else f"{len(sizes)} sizes, {_told(sizes[0])} to {_told(sizes[-1])}"
    )
    modes = ", ".join(f"{n} {mode}" for mode, n in sorted(Counter(of.mode for of in facts).items()))
    because = "all show grey alone" if grey else f"{sum(not of.grey for of in facts)} show colours"
    same = len(sizes) == 1 and list(sizes[0]) == list(size)
    why = "as they are" if same else f"the median, at most {LARGEST}; images are stretched to it"
    lines = [
        f"found: {span} (height x width); {modes}",
        f"they become {_told(size)} ({why}: data.prepare.size), {'grey' if grey else 'red, green, blue'} ({because}: "
        "data.prepare.channels)",
    ]
    if turned := sum(of.turned for of in facts):
        lines.append(f"turned upright, as their EXIF says: {turned}")
    if moving := sum(of.frames > 1 for of in facts):
        lines.append(f"of several frames, of which the first is taken: {moving}")
    return lines


def _told(size: Sequence[int]) -> str:
    return f"{size[0]}x{size[1]}"


def _split_told(found: Set) -> str:
    split = found.split["split"]
    if split == "stratified":
        return "a fifth of the images are the test, at random, class by class"
    if split == "group":
        return f"all images with one value of '{found.split['by']}' are on one side; a fifth of them are the test"
    names = {part: ", ".join(found.split[part]) for part in ("test", "validation")}
    rest = (
        f"those of {names['validation']} validation"
        if names["validation"]
        else "validation is drawn from the others"
    )
    return f"images of {names['test']} are the test; {rest}"


def _copies_told(found: Set, facts: Sequence[Facts]) -> list[str]:
    """Images that are there more than once, where copies may be learned from and tested."""
    of: dict[str, list[int]] = {}
    for place, fact in enumerate(facts):
        of.setdefault(fact.digest, []).append(place)
    copies = [places for places in of.values() if len(places) > 1]
    lines = []
    if found.split["split"] == "given":
        copies = [places for places in copies if len({found.parts[place] for place in places}) > 1]
        where = "are in more than one part"
    else:
        where = "may come to both sides of the split"
    if copies:
        first, second, *_ = copies[0]
        lines.append(
            f"beware: {len(copies)} images are there more than once, as {found.names[first]} and "
            f"{found.names[second]}: copies {where}; take them away"
        )
    if other := [places for places in copies if len({found.labels[place] for place in places}) > 1]:
        lines.append(f"beware: {len(other)} of them are of two classes, as {found.names[other[0][0]]}")
    return lines
