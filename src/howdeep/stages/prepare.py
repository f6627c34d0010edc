"""The `prepare` stage of one data set: split and standardised, a train file, a test file and a card."""

import sys
from collections.abc import Sequence
from pathlib import Path

from howdeep.files.project import Project
from howdeep.runs import examples
from howdeep.study.composition import compose_train


def prepare(overrides: Sequence[str], project: Project) -> Path:
    """Prepares the data set that the overrides name, as in ['data=mnist'].

    Returns:
        Its folder.

    Raises:
        UserError: no such data set, or it was not pulled.
    """
    data = compose_train(project.conf, overrides).data
    place = examples.prepare(data, project)
    print(f"{data.name}: {place.relative_to(project.root)}", file=sys.stderr)
    return place
