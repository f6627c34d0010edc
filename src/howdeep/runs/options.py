"""Hydra's own options of `howdeep train`, where they mean something else to howdeep than to Hydra."""

import os
from collections.abc import Sequence
from pathlib import Path

from howdeep.errors import UserError

RERUN, PLACES = "--experimental-rerun", ("--config-path", "-cp")
SHORTEST_RERUN, SHORTEST_PLACE = "--e", "--config-p"  # argparse takes what begins an option of its own


def settled(words: Sequence[str]) -> list[str]:
    """The command line as Hydra is to read it: a config path that is typed begins where it is typed.

    Hydra would look for it beside this file. So a run, or a trial of a sweep, is trained once more from what it left:
    `howdeep train --config-path multirun/<study>/3/.hydra --config-name config`.

    Raises:
        UserError: --experimental-rerun, which reads a pickle that no run of howdeep leaves.
    """
    found, is_place = [], False
    for word in words:
        name, equals, value = word.partition("=")
        if name.startswith(SHORTEST_RERUN) and RERUN.startswith(name):
            raise UserError(
                f"{RERUN} reads a pickle, and runs leave none: expected --config-path RUN/.hydra --config-name config, "
                "where RUN is the folder of a run, or of a trial of a sweep"
            )
        if is_place:
            word = _placed(word)
        elif equals and _names_a_place(name):
            word = f"{name}={_placed(value)}"
        found.append(word)
        is_place = not is_place and not equals and _names_a_place(name)
    return found


def _names_a_place(name: str) -> bool:
    return name in PLACES or (name.startswith(SHORTEST_PLACE) and PLACES[0].startswith(name))


def _placed(path: str) -> str:
    """An absolute path of a folder that is there.

    Raises:
        UserError: it is not there.
    """
    if path.startswith("pkg://"):
        return path
    if not Path(path).is_dir():
        raise UserError(f"--config-path must be a folder of configs, got {path}, which is not there")
    return os.path.abspath(path)
