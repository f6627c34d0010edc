"""A small world for each hostile case: a project some folders deep, precious folders beside and above it, and HOME."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.commands import Done, howdeep
from tests.torture.harness import (
    OUTPUTS,
    UNTRACKED,
    differences,
    tree,
)

MADE = (  # what commands may write into a project
    *OUTPUTS, "scratch", "provenance", "outputs", "multirun", "reports", "out", "mlartifacts", "mlflow.db", "mlruns",
)  # fmt: skip
CACHES = ("home/.cache", "home/.config", "home/.local")  # of other programs
PRECIOUS = "{precious}"  # stands for the absolute path of a precious folder
NAMES = (
    "..", ".", "../..", "../../..", "../../../precious", "../../../../..", PRECIOUS, "a/b", "a/../..", "~", "*", "",
    "x; touch pwned #", "$(touch pwned)", "`touch pwned`", "| touch pwned", "&& touch pwned", "x'y", 'x"y',
    "';touch pwned;'", '";touch pwned;"', "a\nb", "a\ntouch pwned\n", "a" * 101, "-rf", "--help", ".hidden", ".git",
    "ünïcode", "a b", "x\\y", "a\0b", "${oc.env:HOME}",
)  # fmt: skip
QUICKLY = ("trainer.max_epochs=1", "train_examples=40", "model.width=4", "tracking.uri=null")


@dataclass
class World:
    """A project among what must not be touched."""

    top: Path

    def __post_init__(self) -> None:
        self.home = self.top / "home"
        self.project = self.home / "a/b/c/project"
        self.precious = self.home / "a/b/c/precious"

    def remember(self) -> None:
        self.before, self.made = self.around(), tree(self.project, *OUTPUTS)

    def around(self) -> dict[str, str]:
        """All that is not made by commands."""
        inside = str(self.project.relative_to(self.top))
        found = tree(self.top)
        return {
            name: of
            for name, of in found.items()
            if (not name.startswith(f"{inside}/") or not name[len(inside) + 1 :].startswith(MADE))
            and not name.startswith(CACHES)
        }

    def howdeep(self, *argv: str, **env: str) -> Done:
        return howdeep(self.project, *argv, **(UNTRACKED | {"HOME": str(self.home)} | env))

    def check(self, *, grown: bool = False) -> None:
        """Nothing was deleted, changed or run; `grown`: a folder that people have linked may hold more than it did."""
        changed = differences(self.around(), self.before)
        if grown:
            changed = {name: pair for name, pair in changed.items() if pair[1] is not None}
        assert changed == {}
        assert not list(self.top.rglob("pwned*"))
        assert not Path("pwned").exists()


def check_refused(done: Done, world: World) -> None:
    assert done.code not in (0, None), f"it was taken\n{done.out}\n{done.err}"
    assert "Traceback" not in done.out + done.err, done.err[-3000:]
    if done.code != 2:  # argparse's own two lines
        assert len(done.complaints) == 1, done.err[-3000:]
        assert len(done.err.splitlines()) == 1, done.err[-3000:]
    assert differences(tree(world.project, *OUTPUTS), world.made) == {}


def safe_id(text: object) -> str:
    """A name for a test that pytest, files and terminals can take."""
    return re.sub(r"[^\w.-]+", "_", ascii(text).strip("'\""))[:40]
