"""Where the YAML files of configs are: a project's own conf/, and behind it those that an installed howdeep brings.

A file of the project takes the place of the one of the same name. In a clone, whose conf/ has all of them, howdeep
brings none.
"""

from pathlib import Path

import howdeep

PACKAGED = Path(howdeep.__file__).with_name("conf")  # there in a wheel alone


def files(conf: Path) -> dict[str, Path]:
    """Every YAML file that a composition may read, by its name below conf/, such as 'model/mlp.yaml'."""
    return {
        path.relative_to(folder).as_posix(): path
        for folder in (PACKAGED, conf)
        for path in sorted(folder.rglob("*.yaml"))
    }


def groups(conf: Path) -> list[str]:
    """The folders that hold the choices of a config, such as 'model'."""
    return sorted({name.partition("/")[0] for name in files(conf) if "/" in name})


def is_group(conf: Path, group: str) -> bool:
    """Whether `group` is a folder of choices, or one that holds such folders."""
    return any((folder / group).is_dir() for folder in (conf, PACKAGED))


def options(conf: Path, group: str) -> list[str]:
    """The choices of a config group: the names of its YAML files."""
    return sorted({path.stem for folder in (conf, PACKAGED) for path in (folder / group).glob("*.yaml")})
