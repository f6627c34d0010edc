"""Where the YAML files of configs are: a project's own conf/, and behind it those that howdeep brings.

A file of the project takes the place of the one of the same name. A wheel holds them inside the package. An editable
install has them in conf/ of its clone: they stand behind projects that have no conf/train.yaml, as `howdeep init` makes
them; the clone itself, and whoever copied its conf/, has all of them.
"""

from pathlib import Path

import howdeep

PACKAGED = Path(howdeep.__file__).with_name("conf")  # there in a wheel alone
MAIN = "train.yaml"


def behind(conf: Path) -> Path | None:
    """The folder whose files stand behind those of a project's conf/; None where none does."""
    if PACKAGED.is_dir():
        return PACKAGED
    of_clone = PACKAGED.parents[2] / "conf"
    return of_clone if not (conf / MAIN).is_file() and (of_clone / MAIN).is_file() else None


def folders(conf: Path) -> list[Path]:
    """What a composition reads: the last one wins."""
    found = behind(conf)
    return [conf] if found is None else [found, conf]


def files(conf: Path) -> dict[str, Path]:
    """Every YAML file that a composition may read, by its name below conf/, such as 'model/mlp.yaml'."""
    return {
        path.relative_to(folder).as_posix(): path
        for folder in folders(conf)
        for path in sorted(folder.rglob("*.yaml"))
    }


def groups(conf: Path) -> list[str]:
    """The folders that hold the choices of a config, such as 'model'."""
    return sorted({name.partition("/")[0] for name in files(conf) if "/" in name})


def is_group(conf: Path, group: str) -> bool:
    """Whether `group` is a folder of choices, or one that holds such folders."""
    return any((folder / group).is_dir() for folder in folders(conf))


def options(conf: Path, group: str) -> list[str]:
    """The choices of a config group: the names of its YAML files."""
    return sorted({path.stem for folder in folders(conf) for path in (folder / group).glob("*.yaml")})
