"""`howdeep serve`: a model behind HTTP on this machine."""

import tempfile
from pathlib import Path

from howdeep.deployment.models import REGISTRY, folder_of, trained
from howdeep.tracking import models, serving


def serve(word: str, port: int) -> int:
    """Serves a model until Ctrl-C or SIGTERM.

    Args:
        word: a run, an entry, a model of MLflow's registry or its folder; see `models`.

    Raises:
        UserError: no such model, a port that is taken.
    """
    if word.startswith(REGISTRY):
        return serving.serve(folder_of(word), word, port)
    if (Path(word) / "MLmodel").is_file():
        return serving.serve(Path(word), word, port)
    [run] = trained(word)
    with tempfile.TemporaryDirectory() as folder:
        place = f"{folder}/model"
        models.write(place, run.net, run.record["config"]["model"], run.noise(), run.encoding())
        return serving.serve(Path(place), word, port)
