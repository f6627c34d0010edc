"""What conf/ offers: a file that anybody adds is tried by the tests as it stands, on data that suit it.

Not a list of names: whoever adds a network or a data set edits no test.
"""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from howdeep.data.examples import Split
from howdeep.errors import UserError
from howdeep.files.configs import options
from howdeep.files.project import Project
from howdeep.runs.examples import load_split
from howdeep.study.composition import compose_train
from howdeep.training.run import Outcome, train

CONF = Path(__file__).parents[1] / "conf"
MODELS, TASKS, OPTIMIZERS, SCHEDULES = (
    sorted(options(CONF, group)) for group in ("model", "task", "optimizer", "schedule")
)
SMALL = ("trainer.limit_train_batches=1", "train_examples=24", "trainer.max_epochs=1")


def _is_embedded(data: str) -> bool:
    """Whether all its files lie in installed packages: tests download nothing."""
    sources = yaml.safe_load((CONF / f"data/{data}.yaml").read_text(encoding="utf-8"))["sources"]
    return all("package" in source for source in sources)


EMBEDDED = sorted(filter(_is_embedded, options(CONF, "data")))


def small(split: Split) -> Split:
    """All training examples, of which a config takes the first ones, and a few to validate on."""
    x, y = split.validation
    return split._replace(validation=(x[:20], y[:20]), test=None)


def one_step(cfg, project: Project, folder: Path) -> Outcome | str:
    """The outcome of one epoch of one step, or what the config is refused with."""
    try:
        return train(cfg, small(load_split(cfg, project)), resume_point=folder / "x.ckpt", identity={})
    except UserError as error:
        return str(error)


@cache
def suiting(model: str, project: Project) -> str:
    """A data set that a network can learn: digits if it can, else a text, else the first that it can."""
    for data in dict.fromkeys(["digits", "torch_docs", *EMBEDDED]):
        cfg = compose_train(project.conf, ["tracking.uri=null", f"model={model}", f"data={data}", *SMALL])
        with TemporaryDirectory() as folder:
            outcome = one_step(cfg, project, Path(folder))
        if not isinstance(outcome, str):
            return data
    raise AssertionError(f"model={model} is refused on each of {', '.join(EMBEDDED)}")
