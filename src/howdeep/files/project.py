"""Where things are: the folders of a howdeep project, found from where the command is typed."""

from dataclasses import dataclass
from pathlib import Path

import howdeep
from howdeep.errors import UserError
from howdeep.names import check_name


@dataclass(frozen=True)
class Project:
    """The folders of a project. Paths stay relative to where the command was typed, if they can.

    Args:
        root: where conf/, data/, MLflow's store and all traces of runs are.
        study: where params.yaml and all that is made of it are, of a study that lives below the root; None: there.
    """

    root: Path
    study: Path | None = None

    @property
    def home(self) -> Path:
        return self.study or self.root

    @property
    def claims(self) -> Path:
        return self.root / "claims"

    def claim(self, name: str) -> "Project":
        """The same project with the study of a claim."""
        return Project(self.root, self.claims / check_name(name, "a claim"))

    @property
    def source(self) -> Path:
        """Where a clone has its own source; a project of configs alone has none."""
        return self.root / "src"

    @property
    def conf(self) -> Path:
        return self.root / "conf"

    @property
    def params(self) -> Path:
        return self.home / "params.yaml"

    def raw(self, data: str) -> Path:
        return self.root / "data" / "raw" / check_name(data, "a data set")

    def prepared(self, data: str) -> Path:
        return self.root / "data" / "prepared" / check_name(data, "a data set")

    def prepared_beside(self, data: str, recipe: str) -> Path:
        """Where the same data set lies that was prepared otherwise than the pipeline does it."""
        return self.scratch / "prepared" / f"{check_name(data, 'a data set')}-{recipe}"

    def lock(self, kind: str, name: str) -> Path:
        """The lock file of an entry, a data set or a run: one folder a kind, since names of two kinds may be alike."""
        return self.scratch / "locks" / kind / f"{check_name(name, f'what {kind} is given')}.lock"

    @property
    def plans(self) -> Path:
        return self.home / "plans"

    @property
    def runs(self) -> Path:
        return self.home / "runs"

    @property
    def tuned(self) -> Path:
        return self.home / "tuned"

    @property
    def results(self) -> Path:
        return self.home / "results"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def provenance(self) -> Path:
        return self.root / "provenance"

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"

    @property
    def compositions(self) -> Path:
        return self.scratch / "compositions"


def has_other_source(project: Project) -> bool:
    """Whether a project has a source of its own, and what runs here is another one."""
    own = project.source / "howdeep"
    return (own / "__main__.py").is_file() and not own.samefile(Path(howdeep.__file__).parent)


def is_project(folder: Path) -> bool:
    """Whether it has params.yaml and a folder conf/; the folders of claims have no conf/ of their own."""
    return (folder / "params.yaml").is_file() and (folder / "conf").is_dir()


def find(start: Path | None = None) -> Project:
    """The project of this folder or the nearest one above it.

    Raises:
        UserError: there is none, or it has lost its empty folder conf/: a command would find another project above it.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if is_project(folder):
            return Project(folder)
        if folder.name != "claims" and all((folder / name).is_file() for name in ("params.yaml", "dvc.yaml")):
            raise UserError(
                f"expected a folder conf/ beside params.yaml and dvc.yaml in {folder}, found none: make it, with a "
                "file such as .gitkeep in it, since git keeps no empty folder"
            )
    raise UserError(
        f"expected params.yaml and a folder conf/ in {start} or a folder above it, found no such folder: cd into a "
        "project or a clone of howdeep, or make a project of your data with `howdeep init FOLDER --data FILE`"
    )
