"""The `pull` stage of one data set: its files from the official address or the mirror, verified."""

import sys
from collections.abc import Sequence
from pathlib import Path

from howdeep.files.project import Project
from howdeep.runs import examples
from howdeep.study.composition import compose_train


def pull(overrides: Sequence[str], project: Project) -> Path:
    """Fetches and verifies the files of the data set that the overrides name, as in ['data=mnist'].

    Returns:
        Their folder; of a data set that is drawn it says so.

    Raises:
        UserError: no such data set, or its files cannot be had.
    """
    data = compose_train(project.conf, overrides).data
    place = examples.pull(data, project)
    told = place.relative_to(project.root) if data.sources else "nothing to pull, `howdeep prepare` draws it"
    print(f"{data.name}: {told}", file=sys.stderr)
    return place
