"""One flipped bit, in every file that is read: it is told or mended, and other numbers never come out of it."""

import json
import os
import random
import shutil
from pathlib import Path

import pytest

from tests.amount import seeds, times
from tests.clones import Clone, copy_of
from tests.commands import Done, howdeep
from tests.torture.harness import (
    COMMANDS,
    OUTPUTS,
    UNTRACKED,
    differences,
    tree,
)
from tests.torture.test_kills import Repro

pytestmark = pytest.mark.slow
MAKES = {  # what is a command's own, and must be the same or told
    "train": ("out/run",),
    "tune-entry": ("tuned",),
    "train-entry": ("runs",),
    "evaluate": ("results/test.json", "results/answers.safetensors"),
    "inspect": ("results/inspection",),
    "compare": ("results/scores.csv", "results/trials.csv", "results/metrics.json", "results/tables"),
    "prepare": ("data/prepared",),
    "pull": ("data/raw",),
}  # fmt: skip
ONE = "runs/digits-mlp/depth=1-seed=0"
READ_BY = {  # file -> the commands that a person may type while it is spoiled
    "data/prepared/digits/train.safetensors": ("train", "tune-entry", "train-entry", "evaluate", "inspect"),
    "data/prepared/digits/test.safetensors": ("train", "train-entry", "evaluate"),
    "data/prepared/digits/card.json": ("train", "tune-entry", "train-entry", "evaluate"),
    "data/raw/digits/digits.csv.gz": ("pull", "prepare", "train"),
    f"{ONE}/record.json": ("train-entry", "evaluate", "inspect", "compare"),
    f"{ONE}/weights.safetensors": ("train-entry", "evaluate", "inspect"),
    "tuned/digits-mlp/settings.json": ("train-entry",),
    "tuned/digits-mlp/trials.csv": ("train-entry", "compare"),
    "plans/digits-mlp.json": ("tune-entry", "train-entry"),
    "plans/seeds/digits-mlp.json": ("train-entry", "evaluate"),
    "results/test.json": ("compare",),
    "results/answers.safetensors": ("compare",),
    "scratch/*.ckpt": ("train",),
    "scratch/compositions/*/*": ("train-entry", "tune-entry"),
}


def flip(path: Path, dice: random.Random) -> str:
    """Flips one bit, as a write would: the time of the file changes with it. Where, for the message."""
    content = bytearray(path.read_bytes())
    # A bit anywhere is most often one in the data; that of a header is another kind of damage.
    at = dice.randrange(len(content)) if dice.random() < 0.7 else dice.randrange(min(200, len(content)))
    bit = dice.randrange(8)
    content[at] ^= 1 << bit
    path.write_bytes(content)
    return f"bit {bit} of byte {at} of {len(content)} in {path.name}"


CASES = [(path, command) for path, commands in READ_BY.items() for command in commands]


@pytest.mark.parametrize("seed", seeds(1, 8))
@pytest.mark.parametrize(("path", "command"), CASES)
def test_a_flipped_bit_is_told_in_one_line_or_changes_no_byte(
    trained, tmp_path, counted, path, command, seed
):
    dice = random.Random(f"{seed} {path} {command}")
    here = tmp_path / "project"
    shutil.copytree(trained, here, symlinks=True)
    if not (files := sorted(path for path in here.glob(path) if path.is_file())):
        raise AssertionError(f"no file {path} is there")
    spoiled = dice.choice(files)
    what = flip(spoiled, dice)
    counted("flips")
    done = howdeep(here, *COMMANDS[command], **UNTRACKED)
    check_told_or_same(done, here, spoiled, command, what)
    shutil.rmtree(here)


def check_told_or_same(done: Done, here: Path, spoiled: Path, command: str, what: str) -> None:
    done.check_words()
    if done.code:
        assert done.code == 1, f"{what}: {done.err}"
        return
    expected = json.loads((here / "expected.json").read_text())
    made = MAKES[command]
    wanted = {
        name: of for name, of in expected.items() if any(f"{name}/".startswith(f"{top}/") for top in made)
    }
    assert wanted
    assert differences(tree(here, *made), wanted) == {}, (
        f"{what}: exit code 0 and other bytes\n{done.err[-2000:]}"
    )


# dvc repro


SPOILED = (
    "data/raw/digits/*", "data/prepared/digits/train.safetensors", "data/prepared/sunspots/test.safetensors",
    "data/prepared/digits/card.json", "plans/**/*.json", "tuned/*/settings.json", "tuned/*/trials.csv",
    "runs/*/*/record.json", "runs/*/*/weights.safetensors", "runs/*/*/artifacts.safetensors", "results/test.json",
    "results/answers.safetensors", "results/metrics.json", "results/inspection/*", "results/tables/*.csv",
)  # fmt: skip
PILES = [
    SPOILED[first : first + 4] for first in range(0, len(SPOILED), 4)
]  # at once: a `dvc repro` takes its time


@pytest.mark.parametrize("seed", seeds(1, 4))
@pytest.mark.parametrize("pile", range(times(2, len(PILES))))
def test_dvc_repro_mends_what_was_flipped(whole, tmp_path, counted, pile, seed):
    dice = random.Random(f"{seed} {pile}")
    clone = copy_of(whole, tmp_path / "clone")
    what = [flip(dice.choice(files), dice) for pattern in PILES[pile] if (files := files_of(clone, pattern))]
    counted("flips", len(what))
    repro = Repro(clone)
    repro.end()
    assert repro.process.returncode == 0, f"{what}\n{repro.words[-3000:]}"
    assert not differences(tree(clone.folder, *OUTPUTS), tree(whole.folder, *OUTPUTS)), what
    assert clone.lock == whole.lock, what
    shutil.rmtree(clone.folder)


def files_of(clone: Clone, pattern: str) -> list[Path]:
    return sorted(path for path in clone.folder.glob(pattern) if path.is_file() and os.path.getsize(path))
