"""MLflow's registry: models by name, with versions and aliases that people and servers ask for."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from howdeep.errors import UserError
from howdeep.tracking import failures, models
from howdeep.tracking.client import locate
from howdeep.tracking.words import KEY

if TYPE_CHECKING:  # commands start without MLflow and torch
    from mlflow import MlflowClient

    from howdeep.tracking.served import ServedNet

_REFUSED = re.compile(r"[/:]")


class Version(NamedTuple):
    """A model to be registered.

    Args:
        run_id: of MLflow's run, which has the model.
        tags: with the run's key among them.
        card: what a person should know of it, in Markdown.
        aliases: by which it is asked for.
    """

    run_id: str
    tags: Mapping[str, str]
    card: str
    aliases: Sequence[str]


def register(client: "MlflowClient", name: str, versions: Sequence[Version]) -> int:
    """Makes a registered model have these versions under these aliases; how many versions are new.

    A version that is there already, of the same run and the same model, is brought up to date. Older versions stay:
    somebody may use them.
    """
    from mlflow.exceptions import MlflowException

    name, new = _REFUSED.sub("_", name), 0
    for version in versions:  # at first: who may not write to these runs must not take the name either
        client.log_text(version.run_id, version.card, "model_card.md")
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    there = {of.tags.get(KEY, ""): of for of in client.search_model_versions(f"name='{name}'")}
    for version in versions:
        model_id = _model(client, version.run_id)
        source = f"models:/{model_id}"
        known = there.get(version.tags[KEY])
        if known is None or known.source != source:
            known = client.create_model_version(
                name,
                source,
                version.run_id,
                dict(version.tags),
                description=version.card,
                model_id=model_id,  # a server refuses a source without it, an sqlite file does not
            )
            new += 1
        else:
            client.update_model_version(name, known.version, version.card)
            for tag, value in version.tags.items():
                if known.tags.get(tag) != value:
                    client.set_model_version_tag(name, known.version, tag, value)
        for alias in version.aliases:
            client.set_registered_model_alias(name, alias, known.version)
    return new


def _model(client: "MlflowClient", run_id: str) -> str:
    """The id of the model of a run.

    Raises:
        UserError: somebody has deleted it.
    """
    run = client.get_run(run_id)
    if not (found := models.of_run(client, run)):
        raise UserError(
            f"expected a model of the run {run.info.run_name} in MLflow, found that it was deleted: delete the run too "
            f"(`mlflow runs delete --run-id {run_id}`), then `howdeep sync` adds both"
        )
    return found[-1]


def find(word: str, root: Path, tracking: str | None) -> Path:
    """The folder of a model, fetched where it lies elsewhere.

    Args:
        word: `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `models:/ID`.
        root: of the project, where MLflow's sqlite file is.
        tracking: MLflow's address.

    Raises:
        UserError: there is no such model, or MLflow cannot be reached.
    """
    import mlflow
    from mlflow import artifacts

    uri = locate(os.environ.get("MLFLOW_TRACKING_URI", tracking or "sqlite:///mlflow.db"), root)
    try:
        mlflow.set_tracking_uri(uri)
        return Path(artifacts.download_artifacts(artifact_uri=word, tracking_uri=uri))
    except Exception as error:
        if not failures.is_mlflows(error):
            raise
        known = _names(uri)
        told = f"; it has {', '.join(known)}" if known else ""
        raise UserError(
            f"expected a model of MLflow's registry, got {word} ({failures.reason(error, uri)}){told}: "
            "`howdeep register` puts the best ones there"
        ) from None


def _names(uri: str) -> list[str]:
    from mlflow import MlflowClient

    try:
        return sorted(
            f"models:/{of.name}@{alias}"
            for of in MlflowClient(uri).search_registered_models()
            for alias in of.aliases
        )
    except Exception as error:
        if not failures.is_mlflows(error):
            raise
        return []


def read(folder: Path) -> "ServedNet":
    """The model in a folder that MLflow wrote.

    Raises:
        UserError: howdeep did not log it, or its files are not what they were.
    """
    from mlflow.models import Model

    from howdeep.tracking import served

    try:
        flavor = Model.load(str(folder)).flavors["python_function"]
        if flavor["loader_module"] != served.__name__:
            raise ValueError(f"its loader is {flavor['loader_module']}")
        return served.load(folder / flavor["data"])
    except Exception as error:  # whatever another model, or a broken one, raises
        raise UserError(
            f"expected a model that howdeep logged in {folder}, got another or a broken one ({error})"
        ) from None
