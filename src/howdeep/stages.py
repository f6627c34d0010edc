"""The stages after training, and the commands that show what there is."""

import json
import sys

from howdeep import records, study
from howdeep.project import Project
from howdeep.tracking import Store, locate


def evaluate(project: Project) -> None:
    from howdeep.evaluate import evaluate as evaluate_runs

    content = evaluate_runs(project)
    print(f"evaluate: {len(content['runs'])} runs on the test examples", file=sys.stderr)


def sync(project: Project) -> None:
    """Rebuilds in MLflow what the records have and it lacks."""
    from howdeep import synchronise
    from howdeep.composition import compose_train

    plan = study.read(project.params)
    uri = compose_train(project.conf, []).tracking.uri
    store = Store(locate(uri, project.root), plan.name, project.root)
    runs, models = synchronise.sync(project.runs, project, store)
    print(f"sync: {runs} runs and {models} models added to {plan.name}", file=sys.stderr)
