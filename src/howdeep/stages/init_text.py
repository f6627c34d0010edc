"""What `howdeep init` proposes for texts: one running text, or a table of texts with a class each."""

import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from howdeep.data.own_text import RESERVED, symbols_of
from howdeep.errors import UserError
from howdeep.intake import guessing
from howdeep.intake.reading import encoding_of, read_text
from howdeep.stages.proposals import (
    FEW,
    MARGIN_OF_CLASSES,
    TEST,
    VALIDATION,
    Asked,
    Proposal,
    check_columns,
    columns_told,
    config_of,
    few_told,
    file_of,
    read_table,
    refuse,
)

CONTEXT = 64  # characters that a network sees before the one that it tells
COVERED = 0.999  # of a running text: by the characters that have a number
MOST_WORDS, MOST_LETTERS = 2000, 200
LONGEST = {"characters": 128, "words": 64}  # of an example
SHORT = 200  # characters, on the average, up to which texts are read letter by letter


def propose_text(asked: Asked, name: str) -> Proposal:
    """A text file or a folder of them is one running text; a table has a text and a class in each row.

    Raises:
        UserError: no text, one that is too short, classes that cannot be told, an option that does not fit.
    """
    if asked.data.is_file() and asked.data.suffix.lower() in (".csv", ".tsv", ".parquet"):
        return _labelled(asked, name)
    return _running(asked, name)


def _running(asked: Asked, name: str) -> Proposal:
    others = (
        "--target",
        "--group",
        "--time",
        "--task",
        "--missing",
        "--drop-missing-targets",
        "--horizon",
        "--known",
    )
    refuse(asked, "a running text", *others)
    files = sorted(asked.data.rglob("*.txt")) if asked.data.is_dir() else [asked.data]
    if not files:
        raise UserError(f"expected files that end in .txt in {asked.data}, found none")
    texts, lines = [], []
    for file in files:
        encoding, because = encoding_of(file)
        texts.append(read_text(file, encoding).replace("\r\n", "\n"))
        lines.append(f"{file.name}: {len(texts[-1]):,} characters; encoding {encoding} ({because})")
    lines = [*lines[:10], *([f"and {len(lines) - 10} files more"] if len(lines) > 10 else [])]
    text = unicodedata.normalize("NFC", "\n".join(texts))
    past = text[: round(len(text) * (1 - TEST))]
    least = 2 * CONTEXT * FEW
    if len(text) * TEST * VALIDATION < least:
        raise UserError(
            f"{asked.data.name}: expected {round(least / TEST / VALIDATION):,} characters at least, got {len(text):,}"
        )
    counts = Counter(past)
    share = np.cumsum([often for _, often in counts.most_common()]) / len(past)
    vocabulary = 1 + min(MOST_LETTERS, int(np.searchsorted(share, COVERED)) + 1)
    lines += [
        f"told: the next character, of the {CONTEXT} before; {vocabulary - 1} of {len(counts)} different characters "
        "have a sign of their own, all others are one",
        "split: the last fifth of the text is the test",
    ]
    file = f"{name}.txt"
    prepare = {
        "_target_": "howdeep.data.own_text.language", "_partial_": True, "file": file, "encoding": "utf-8",
        "vocabulary": "${data.vocabulary}", "test_fraction": TEST,
    }  # fmt: skip
    examples = {
        "_target_": "howdeep.data.examples.characters", "_partial_": True, "context": "${data.context}",
        "in_shape": "${data.in_shape}", "vocabulary": "${data.vocabulary}", "validation_fraction": VALIDATION,
    }  # fmt: skip
    config = config_of(
        *(asked, name, "language_modelling", prepare, examples, ["${data.context}"], "${data.vocabulary}"),
        context=CONTEXT, vocabulary=vocabulary, every_step=True,
    )  # fmt: skip

    def bring(folder: Path) -> list[dict[str, Any]]:
        from howdeep.files.seals import checksum

        (folder / file).write_text("\n".join(texts), encoding="utf-8", newline="\n")
        return [{"file": file, "local": f"source/{file}", "sha256": checksum(folder / file)}]

    margin = ("bits", 0.05, "a compressed text 6 bytes shorter in a thousand characters; a convention")
    notes = {
        "context": "characters in a window",
        "vocabulary": "characters that have a number, and one for all others",
        "every_step": "each character of a window tells the next",
    }
    windows = len(text) // CONTEXT
    return Proposal(name, lines, config, "language_modelling", ("gru",), windows, margin, bring, notes)


def _labelled(asked: Asked, name: str) -> Proposal:
    refuse(asked, "texts", "--group", "--time", "--missing", "--drop-missing-targets", "--horizon", "--known")
    if asked.task not in (None, "classification"):
        raise UserError(f"--task must be classification for texts, got '{asked.task}'")
    sheet, reading, lines = read_table(asked)
    file = asked.data.name
    check_columns(asked, sheet, "--target")
    targets, why = guessing.target_of(sheet, asked.target, file)
    if len(targets) > 1:
        raise UserError(f"expected one --target for texts, got {', '.join(targets)}")
    found = guessing.guess(sheet, targets, file, task="classification")
    others = [of for of in sheet.names if of not in targets]
    if not others:
        raise UserError(f"{file}: expected a column of texts beside '{targets[0]}', found none")
    text = max(others, key=lambda of: sum(map(len, sheet.column(of))))
    texts = sheet.column(text)
    if empty := [line for line, value in zip(sheet.lines, texts, strict=True) if not value]:
        raise UserError(
            f"{file}, column '{text}': expected a text in every row, but {len(empty)} have none, the first in line "
            f"{empty[0]}: leave such rows out"
        )
    if found[targets[0]].missing:
        raise UserError(f"{file}, column '{targets[0]}': expected a class in every row: leave the others out")
    mean = sum(map(len, texts)) / len(texts)
    unit = "characters" if mean <= SHORT else "words"
    read = [symbols_of(of, unit) for of in texts]
    length = min(LONGEST[unit], max(RESERVED + 1, int(np.quantile([len(of) for of in read], 0.95))))
    different = len({symbol for of in read for symbol in of})
    most = MOST_LETTERS if unit == "characters" else MOST_WORDS
    vocabulary = RESERVED + min(most, different)
    of_text = guessing.Guess(
        {"kind": "text"},
        f"the longest texts, {mean:.0f} characters on the average",
        0,
        f"its last {length} {unit}",
    )
    columns = {
        of: of_text
        if of == text
        else guess
        if of in targets
        else guessing.left_out("neither text nor target", 0)
        for of, guess in found.items()
    }
    lines += [
        f"told: {targets[0]} ({why}; {found[targets[0]].why})", "", *columns_told(columns), "",
        f"read as {unit}: {min(most, different)} of {different} different ones have a number",
        "split: a fifth of the rows are the test, at random, class by class",
    ]  # fmt: skip
    lines += few_told(round(len(sheet.rows) * TEST), "rows")
    prepare = {
        "_target_": "howdeep.data.own_text.prepare", "_partial_": True, "file": file_of(asked, name), **reading,
        "columns": {of: guess.column for of, guess in columns.items()}, "unit": unit, "length": "${data.steps}",
        "vocabulary": "${data.vocabulary}", "test_fraction": TEST, "seed": 0,
    }  # fmt: skip
    examples = {
        "_target_": "howdeep.data.examples.sequences", "_partial_": True, "in_shape": "${data.in_shape}",
        "vocabulary": "${data.vocabulary}", "validation_fraction": VALIDATION, "seed": 0,
    }  # fmt: skip
    classes = found[targets[0]].column["classes"]
    config = config_of(
        *(asked, name, "classification", prepare, examples, ["${data.steps}"], len(classes)),
        steps=length, vocabulary=vocabulary,
    )  # fmt: skip
    notes = {
        "steps": f"{unit} of an example",
        "vocabulary": f"{unit} that have a number; padding, and one for all others",
    }
    return Proposal(
        name, lines, config, "classification", ("gru",), len(sheet.rows), MARGIN_OF_CLASSES, notes=notes
    )
