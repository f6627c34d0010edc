"""A trained net as a model of MLflow, with signature and input example, which `mlflow models serve` serves.

It is what `served` reads: no pickle, written in milliseconds, where `torch.export` takes seconds. The steps are those
of `mlflow.pyfunc.log_model`, which would open the ended run again, ask for each of its metrics on its own, copy all
files once more and load the model to try it.
"""

import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from howdeep.processes.locks import this_process
from howdeep.tracking.failures import clouds_are_mlflows
from howdeep.tracking.words import CELL, ENTRY, MODEL, NAME, NOTE, PROCESS, is_summary

if TYPE_CHECKING:  # commands start without MLflow
    from mlflow import MlflowClient

_REFUSED = re.compile(r"""[/:.%"']""")


def log(
    client: "MlflowClient",
    uri: str,
    run_id: str,
    net: Any,
    config: dict[Any, Any],
    example: Any,
    encoding: Mapping[str, Any] | None = None,
) -> None:
    """Logs a net as a model of a run that has ended; see `Store.log_model`."""
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus
    from mlflow.tracking.context.registry import resolve_tags

    run = client.get_run(run_id)
    with _in_environment(MLFLOW_TRACKING_URI=uri):
        model = client.create_logged_model(
            run.info.experiment_id, name_of(run.data.tags), run_id,
            tags={**resolve_tags(), **tags_of(run.data.tags), PROCESS: this_process()}, params=run.data.params,
        )  # fmt: skip
        try:
            _save(client, run_id, model, net.cpu().eval(), config, example, encoding)
            client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])  # MLflow takes none back
            _copy_metrics(client, run, model.model_id)
        except BaseException:
            drop(client, model.model_id)
            raise
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        client.delete_logged_model_tag(model.model_id, PROCESS)
    client.set_tag(run_id, MODEL, "logged")


def name_of(tags: Mapping[str, str]) -> str:
    """What the model of a run is called: as its cell, without the signs that MLflow does not take."""
    return _REFUSED.sub("_", tags.get(CELL, "model"))


def tags_of(tags: Mapping[str, str]) -> dict[str, str]:
    """What a model says of itself, from the tags of its run."""
    told = {name: tags[name] for name in (CELL, ENTRY, "data", "model", "task", "score") if name in tags}
    if CELL in tags and NAME in tags:
        told[NOTE] = f"The best of the runs of {tags[CELL]} by validation loss: {tags[NAME]}."
    return told


def of_run(client: "MlflowClient", run: Any) -> list[str]:
    """The ids of the models of a run, the newest last.

    The outputs of a run name deleted ones too, to which a server with passwords lets nobody write.

    Args:
        run: as MLflow gives it.
    """
    found = client.search_logged_models(
        [run.info.experiment_id],
        filter_string=f"source_run_id = '{run.info.run_id}'",
        order_by=[{"field_name": "creation_timestamp", "ascending": True}],
    )
    return [model.model_id for model in found]


def drop(client: "MlflowClient", model_id: str) -> None:
    """Deletes a model that is not written to its end."""
    from mlflow.entities import LoggedModelStatus

    client.finalize_logged_model(model_id, LoggedModelStatus.FAILED)
    client.delete_logged_model(model_id)


def pending(client: "MlflowClient", experiment_id: str) -> list[tuple[str, str]]:
    """The id of each model that is not written to its end, and its process.

    MLflow cannot search for a status: a model has the tag of its process as long as it is written.
    """
    found, page = [], None
    while True:
        answer = client.search_logged_models(
            [experiment_id], filter_string=f"tags.`{PROCESS}` LIKE '%'", page_token=page
        )
        found += [(model.model_id, model.tags[PROCESS]) for model in answer if str(model.status) == "PENDING"]
        if not (page := answer.token):
            return found


def _copy_metrics(client: "MlflowClient", run: Any, model_id: str) -> None:
    """Gives a model the summary of its run, by name: a curve may have been measured in its first epoch alone."""
    from mlflow.entities import Metric

    metrics = [
        Metric(of.key, of.value, of.timestamp, of.step, model_id=model_id, run_id=run.info.run_id)
        for of in run.data.to_proto().metrics
        if is_summary(of.key)
    ]
    client.log_batch(run.info.run_id, metrics=metrics)


def _save(
    client: "MlflowClient",
    run_id: str,
    model: Any,
    net: Any,
    config: dict[Any, Any],
    example: Any,
    encoding: Mapping[str, Any] | None,
) -> None:
    """Writes the files of a model, in place where that is on this machine."""
    from mlflow.models import Model
    from mlflow.utils.file_utils import local_file_uri_to_path

    local = model.artifact_location.startswith("file:")
    about = Model(model.artifact_location, run_id, model_uuid=model.model_id, model_id=model.model_id)
    with tempfile.TemporaryDirectory() as folder:
        place = local_file_uri_to_path(model.artifact_location) if local else f"{folder}/model"
        write(place, net, config, example, encoding, about)
        if not local:
            with clouds_are_mlflows():
                client.log_model_artifacts(model.model_id, place)


def write(
    place: str,
    net: Any,
    config: dict[Any, Any],
    example: Any,
    encoding: Mapping[str, Any] | None,
    about: Any = None,
) -> None:
    """Writes a model as a folder, which every command of MLflow takes.

    Args:
        place: of the folder.
        net: in evaluation mode.
        config, example, encoding: see `Store.log_model`.
        about: what MLflow knows of it; None of one that no store has.
    """
    import safetensors
    import torch
    from mlflow.pyfunc import save_model

    from howdeep.tracking import served  # and with it torch

    logging.getLogger("mlflow.pyfunc").setLevel(logging.ERROR)  # it has a word for each model
    example, signature = _signature(served.ServedNet(net, encoding), example)
    with tempfile.TemporaryDirectory() as folder:
        served.write(Path(folder, "net"), net, config, encoding)
        served.copy_code(Path(folder, "howdeep"))
        save_model(
            place,
            loader_module=served.__name__,
            data_path=f"{folder}/net",
            mlflow_model=about,
            signature=signature,
            input_example=example,
            pip_requirements=[
                f"torch=={torch.__version__.split('+')[0]}", f"safetensors=={safetensors.__version__}",
                "numpy", "pandas", "pydantic>=2", "pillow", "pyarrow",
            ],
            code_paths=[f"{folder}/howdeep"],
        )  # fmt: skip


def _signature(model: Any, example: Any) -> tuple[Any, Any]:
    """An example and the signature: of rows as people have them where the model reads such, else of arrays."""
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, DataType, Schema, TensorSpec

    if model.predictor is None:
        arrays = (example, model.predict(example))
        inputs, outputs = (Schema([TensorSpec(a.dtype, (-1, *a.shape[1:]))]) for a in arrays)
        return example, ModelSignature(inputs, outputs)
    raw = model.predictor.inputs
    kinds = {"number": DataType.double, "text": DataType.string}
    told = {float: DataType.double, int: DataType.long, str: DataType.string}
    return pd.DataFrame(raw.example()), ModelSignature(
        Schema([ColSpec(kinds[kind], name) for name, kind in raw.columns().items()]),
        Schema([ColSpec(told[kind], name) for name, kind in model.predictor.columns.items()]),
    )


@contextmanager
def _in_environment(**values: str) -> Iterator[None]:
    """Sets variables for a while; `mlflow.set_tracking_uri` sets one for good, which the next config would read."""
    before = {name: os.environ.pop(name, None) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
