"""MLflow as a view of the records: an experiment a study, a parent run an entry, a nested run for each run.

A run is known by its run key, a tag. Writes are buffered, since one write to the store costs as much as an
epoch of a small network; where the store is a database, `mlflow_rows` makes them in few transactions. `Store` is the
only door: nothing else in howdeep imports mlflow, but `ui`, which serves it. MLflow never ends the work: what it
raises is told once, and what it lacks then is rebuilt by `howdeep sync`.
"""

import hashlib
import io
import json
import logging
import mmap
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from howdeep import mlflow_database, mlflow_failures
from howdeep.errors import Stopped, UserError, masked
from howdeep.processes import hold_stop, is_gone, stop_if_asked, this_process
from howdeep.records import Cell
from howdeep.sweeping.outcomes import Pruned

if TYPE_CHECKING:  # commands start without MLflow
    from howdeep.mlflow_rows import Rows

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
# It prints the address of a server with its password.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# MLflow would wait four minutes for a server that is not there, and a quarter of an hour for one that is silent.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("PGCONNECT_TIMEOUT", "6")
ATTEMPTS = 3  # to reach a database server

KEY, ENTRY, PROCESS, KIND = "howdeep.key", "howdeep.entry", "howdeep.process", "howdeep.kind"
MODEL, STUDY, TRIAL = "howdeep.model", "howdeep.study", "howdeep.trial"
PARENT = "mlflow.parentRunId"
FLUSH_SECONDS = 3.0
BATCH, TAGS = 1000, 100  # metrics, and params or tags, that MLflow takes in one request
SQL = ("sqlite:", "postgresql", "mysql")
Value = tuple[str, float | None, int]  # a metric's name, its value, its epoch
F = TypeVar("F", bound=Callable[..., Any])

_lost = mmap.mmap(
    -1, 16
)  # the store that was lost, by a digest of its address; all forks of this process see it


def locate(uri: str, root: Path) -> str:
    """An sqlite file is meant relative to the project, not to where the command was typed."""
    prefix = "sqlite:///"
    if not uri.startswith(prefix) or Path(uri.removeprefix(prefix)).is_absolute():
        return uri
    return f"{prefix}{root / uri.removeprefix(prefix)}"


def _view(instead: "Callable[[Store], Any]") -> Callable[[F], F]:
    """Makes a method of `Store` one that ends no work: what MLflow raises is told, once, and the store is lost.

    Args:
        instead: gives what the method gives then, and from then on.
    """

    def of(method: F) -> F:
        @wraps(method)
        def guarded(self: "Store", *args: Any, **kwargs: Any) -> Any:
            if self._inside:  # another method of the store calls this one
                return method(self, *args, **kwargs)
            if self.lost:
                return instead(self)
            self._inside = True
            try:
                return method(self, *args, **kwargs)
            except Exception as error:
                stop_if_asked()  # a stop that MLflow has turned into an error of its own
                if not mlflow_failures.is_mlflows(error):
                    raise
                self._lose(error)
                return instead(self)
            finally:
                self._inside = False

        return guarded  # type: ignore[return-value]

    return of


@dataclass
class Store:
    """One experiment in an MLflow store.

    Where MLflow fails, its methods say so in one line, and do nothing from then on, in this process and in all of its
    forks.

    Args:
        uri: where MLflow keeps its runs, e.g. 'sqlite:////home/me/howdeep/mlflow.db' or 'http://...'.
        experiment: its name, the study's.
        root: the project's folder; artifacts of an sqlite store go to mlartifacts/ there.
        strict: what MLflow raises becomes a `UserError`.
    """

    uri: str
    experiment: str
    root: Path
    strict: bool = False
    _inside: bool = False
    _datasets: dict[str, Any] = field(default_factory=dict)
    _pid: int | None = None

    @property
    def client(self):
        """MLflow's client; a forked worker must not use the connections of its parent."""
        if self._pid != os.getpid():
            if self._pid is not None and self.uri.startswith(SQL):
                self._open._tracking_client.store.engine.dispose(close=False)
            self._pid = os.getpid()
        return self._open

    @property
    def rows(self) -> "Rows | None":
        """The store's tables, where it is a database."""
        from howdeep.mlflow_rows import Rows

        return Rows(self.client._tracking_client.store) if self.uri.startswith(SQL) else None

    @property
    def lost(self) -> bool:
        """Whether MLflow could not be used, here or in another fork."""
        return not self.strict and _lost[:] == self._digest

    @property
    def _digest(self) -> bytes:
        return hashlib.md5(self.uri.encode(), usedforsecurity=False).digest()

    def _lose(self, error: Exception) -> None:
        """Tells a person, unless another fork has."""
        told, remedy = mlflow_failures.told(error, self.uri), mlflow_failures.remedy(error, self.uri)
        mlflow_database.forget(self.uri)
        if self.strict:
            raise UserError(f"{told}: {remedy}") from error
        if self.lost:
            return
        _lost[:] = self._digest
        from howdeep.progress import say

        say(f"howdeep: {told}: the work goes on without it; {remedy}")

    @cached_property
    def _open(self):
        from mlflow import MlflowClient
        from mlflow.store.db import utils
        from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException

        utils.MAX_RETRY_COUNT = ATTEMPTS  # with the ten of MLflow it takes minutes
        # What they would print comes as an exception too.
        logging.getLogger(utils.__name__).setLevel(logging.CRITICAL)
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        with mlflow_database.lock(self.root):  # two first writers would both create the tables, and one crash
            mlflow_database.prepare(self.uri, self.root)
            try:
                client = MlflowClient(self.uri)
            except UnsupportedModelRegistryStoreURIException as error:
                raise UserError(
                    f"the MLflow store {masked(self.uri)} cannot be opened: expected an address such as "
                    "sqlite:///mlflow.db or http://127.0.0.1:5000, or tracking.uri=null"
                ) from error
            client.search_experiments(max_results=1)
            return client

    @cached_property
    def experiment_id(self) -> str:
        from mlflow.exceptions import MlflowException

        client = self.client
        with mlflow_database.lock(self.root):
            if found := client.get_experiment_by_name(self.experiment):
                if found.lifecycle_stage == "deleted":
                    raise MlflowException(
                        f"the experiment {self.experiment} was deleted: restore it with `mlflow experiments restore "
                        f"-x {found.experiment_id}`"
                    )
                return found.experiment_id
            local = self.uri.startswith("sqlite:")
            place = (self.root / mlflow_database.ARTIFACTS / self.experiment).as_uri() if local else None
            kind = {"mlflow.experimentKind": "custom_model_development"}  # else the UI opens its GenAI pages
            return client.create_experiment(self.experiment, artifact_location=place, tags=kind)

    @_view(lambda _: [])
    def find(self, **tags: str) -> list[Any]:
        """Active runs with these tags ('.' is written '__'), newest first."""
        wanted = [f"tags.`{name.replace('__', '.')}` = '{value}'" for name, value in tags.items()]
        return list(self.client.search_runs([self.experiment_id], " and ".join(wanted), max_results=50_000))

    @_view(lambda _: set())
    def keys(self) -> set[str]:
        """Keys of the runs that are here and finished."""
        if self.rows:  # MLflow's search takes 3 ms a run, since it loads all that runs have
            return self.rows.ended(self.experiment_id, KEY, (KIND, "run"))
        runs = self.client.search_runs(
            [self.experiment_id],
            f"tags.`{KIND}` = 'run' and attributes.status != 'RUNNING'",
            max_results=50_000,
        )
        return {run.data.tags[KEY] for run in runs if run.info.status != "KILLED"}

    def _running(self) -> list[tuple[str, str | None]]:
        """The id of each run that is RUNNING, and its process."""
        if self.rows:
            return self.rows.running(self.experiment_id, PROCESS)
        runs = self.client.search_runs(
            [self.experiment_id], "attributes.status = 'RUNNING'", max_results=50_000
        )
        return [(run.info.run_id, run.data.tags.get(PROCESS)) for run in runs]

    @_view(lambda _: set())
    def trials(self, study: str) -> set[int]:
        """Numbers of the trials of a sweep that are here and ended by themselves."""
        runs = self.client.search_runs(
            [self.experiment_id],
            f"tags.`{KIND}` = 'trial' and tags.`{STUDY}` = '{study}'",
            max_results=50_000,
        )
        return {int(run.data.tags[TRIAL]) for run in runs if run.info.status not in ("RUNNING", "KILLED")}

    @_view(lambda _: 0)
    @hold_stop()
    def close_abandoned(self) -> int:
        """Ends the runs that a killed process left RUNNING, and deletes its half-written models; how many runs."""
        gone = [run_id for run_id, process in self._running() if _left(process)]
        for run_id in gone:
            self.client.set_terminated(run_id, "KILLED")
        for model_id, process in self._pending():
            if _left(process):
                self._drop_model(model_id)
        return len(gone)

    def _pending(self) -> list[tuple[str, str | None]]:
        """The id of each model that is not written to its end, and its process."""
        if self.rows:
            return self.rows.pending_models(self.experiment_id, PROCESS)
        return [
            (model.model_id, model.tags.get(PROCESS))
            for model in self._models()
            if str(model.status) == "PENDING"
        ]

    def _models(self) -> list[Any]:
        """All models of a server's experiment."""
        found, page = [], None
        while True:
            answer = self.client.search_logged_models([self.experiment_id], page_token=page)
            found += answer
            if not (page := answer.token):
                return found

    def _drop_model(self, model_id: str) -> None:
        from mlflow.entities import LoggedModelStatus

        self.client.finalize_logged_model(model_id, LoggedModelStatus.FAILED)
        self.client.delete_logged_model(model_id)

    @_view(lambda _: None)
    @hold_stop()
    def open_parent(self, name: str, about: dict[str, str], kind: str = "entry") -> str | None:
        """The run under which the runs of an entry, or the trials of a sweep, are nested: found again, or made.

        Returns:
            Its id, None where the store is lost.
        """
        tag = STUDY if kind == "sweep" else ENTRY
        found = self.find(**{KIND: kind, tag: name})
        if found:
            run_id = found[0].info.run_id
            self.client.update_run(run_id, status="RUNNING")
        else:
            run_id = self.client.create_run(
                self.experiment_id, run_name=name, tags={KIND: kind, tag: name}
            ).info.run_id
        self.set_tags(run_id, {**about, PROCESS: this_process()})
        return run_id

    @_view(lambda _: None)
    @hold_stop()
    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Sets tags in as few requests as MLflow allows."""
        from mlflow.entities import RunTag

        found = [RunTag(name, value) for name, value in tags.items()]
        for first in range(0, len(found), TAGS):
            self.client.log_batch(run_id, tags=found[first : first + TAGS])

    @_view(lambda _: None)
    @hold_stop()
    def close(self, run_id: str, status: str) -> None:
        self.client.set_terminated(run_id, status)

    @_view(lambda store: TrackedRun(store, "", ""))
    @hold_stop()
    def start(
        self,
        record: dict,
        *,
        parent: str | None,
        about: dict[str, str],
        dataset: dict[str, Any],
        trial: "TrialOf | None" = None,
    ) -> "TrackedRun":
        """Opens the run of a record that is about to be trained; replaces an older run with the same key.

        Two trials may try the same settings: a trial replaces only the interrupted ones whose place it takes.

        Args:
            record: what `records.describe` gives.
            about: more tags: commit, dirty flag and the like.
            dataset: the data card.
            trial: where a sweep trains it.
        """
        kind = "trial" if trial else "run"
        if trial is None:
            replaced = [{KEY: record["key"], KIND: kind}]
        else:
            replaced = [{KIND: kind, STUDY: trial.study, TRIAL: str(number)} for number in trial.replaces]
        tags = {
            KIND: kind,
            KEY: record["key"],
            PROCESS: this_process(),
            "howdeep.data_checksum": record["data_checksum"],
        }
        tags |= {name: str(record[name]) for name in ("data", "model", "task")} | about
        tags |= ({ENTRY: record["entry"]} if record["entry"] else {}) | ({PARENT: parent} if parent else {})
        tags |= {STUDY: trial.study, TRIAL: str(trial.number)} if trial else {}
        params = [(name, str(value)[:6000]) for name, value in flat(record["config"])]
        run_id, artifacts = self._open_run(_run_name(record, trial), tags, params, dataset, replaced)
        return TrackedRun(self, run_id, artifacts)

    def _open_run(
        self,
        name: str,
        tags: dict[str, str],
        params: list[tuple[str, str]],
        card: dict[str, Any],
        replaced: Sequence[dict[str, str]],
    ) -> tuple[str, str]:
        """A new run's id, and the address of its artifacts.

        Args:
            replaced: runs with all tags of one of these are deleted, and their models.
        """
        from mlflow.entities import Param

        if self.rows:
            return self.rows.open_run(
                self.experiment_id, name, tags, params, self._dataset_input(card), replaced
            )
        for old in [run for having in replaced for run in self.find(**having)]:
            for model in old.outputs.model_outputs if old.outputs else ():
                self.client.delete_logged_model(model.model_id)
            self.client.delete_run(old.info.run_id)
        run = self.client.create_run(self.experiment_id, run_name=name, tags=tags).info
        for first in range(0, len(params), TAGS):
            self.client.log_batch(
                run.run_id, params=[Param(*param) for param in params[first : first + TAGS]]
            )
        with mlflow_database.lock(
            self.root
        ):  # two first writers of a data set would both insert it, and one crash
            self.client.log_inputs(run.run_id, [self._dataset_input(card)])
        assert run.artifact_uri is not None
        return run.run_id, run.artifact_uri

    def _dataset_input(self, card: dict[str, Any]) -> Any:
        from mlflow.data.http_dataset_source import HTTPDatasetSource
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.entities import DatasetInput, InputTag

        name = card["name"]
        if name not in self._datasets:
            dataset = MetaDataset(HTTPDatasetSource(card["homepage"]), name=name, digest=card["digest"][:16])
            self._datasets[name] = DatasetInput(
                dataset._to_mlflow_entity(), [InputTag("mlflow.data.context", "training")]
            )
        return self._datasets[name]

    @_view(lambda _: None)
    @hold_stop()
    def log(
        self,
        run_id: str,
        values: Iterable[Value] = (),
        *,
        tags: Mapping[str, str] | None = None,
        status: str | None = None,
    ) -> None:
        """Logs (name, value, epoch) triples and tags; a status ends the run."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, float(value), now, step) for name, value, step in values if value is not None]
        if self.rows:
            return self.rows.add(run_id, metrics, tags, status)
        for first in range(0, len(metrics), BATCH):
            self.client.log_batch(run_id, metrics=metrics[first : first + BATCH])
        if tags:
            self.set_tags(run_id, tags)
        if status:
            self.close(run_id, status)

    @_view(lambda _: None)
    def log_file(self, artifacts: str, name: str, content: bytes) -> None:
        """Writes a file of a run whose artifacts have this address; `client.log_text` would ask for it first."""
        from mlflow.store.artifact.artifact_repo import StreamUploadMixin
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with _clouds_are_mlflows():
            place = get_artifact_repository(artifacts, tracking_uri=self.uri)
            if isinstance(place, StreamUploadMixin):
                return place.log_artifact_from_stream(io.BytesIO(content), name)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, name)
                path.write_bytes(content)
                place.log_artifact(str(path))

    @_view(lambda _: None)
    def log_path(self, run_id: str, path: Path, place: str | None = None) -> None:
        """Copies a file, or a folder with all that is in it, to the artifacts of a run.

        Args:
            place: the folder among the artifacts; None: the uppermost.
        """
        with _clouds_are_mlflows():
            log = self.client.log_artifacts if path.is_dir() else self.client.log_artifact
            log(run_id, str(path), place)

    @_view(lambda _: None)
    @hold_stop()
    def log_model(self, run_id: str, net: Any, config: dict[Any, Any], example: Any) -> None:
        """Logs a net as a model with signature and input example, that `mlflow models serve` can serve.

        It is what `howdeep.served` reads: no pickle, written in milliseconds, where `torch.export` takes seconds.
        It takes the steps of `mlflow.pyfunc.log_model`, which would open the ended run again, ask for each of its
        metrics on its own, copy all files once more and load the model to try it.

        Args:
            config: from which the net was built, with its `_target_`.
            example: a numpy array of a few inputs, (batch, *in_shape), float32.
        """
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus
        from mlflow.tracking.context.registry import resolve_tags

        run = self.client.get_run(run_id)
        with _in_environment(MLFLOW_TRACKING_URI=self.uri):
            model = self.client.create_logged_model(
                run.info.experiment_id, "model", run_id,
                tags={**resolve_tags(), PROCESS: this_process()}, params=run.data.params,
            )  # fmt: skip
            self.client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
            self._copy_metrics(run, model.model_id)
            try:
                self._save_model(run_id, model, net.cpu().eval(), config, example)
            except BaseException:
                self._drop_model(model.model_id)
                raise
            self.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        self.client.set_tag(run_id, MODEL, "logged")

    def _copy_metrics(self, run: Any, model_id: str) -> None:
        """Gives a model what its run measured in step 0, where the summary stands."""
        from mlflow.entities import Metric

        if self.rows:
            return self.rows.copy_metrics(run.info.run_id, model_id)
        histories = [self.client.get_metric_history(run.info.run_id, name) for name in run.data.metrics]
        metrics = [
            Metric(of.key, of.value, of.timestamp, of.step, model_id=model_id, run_id=run.info.run_id)
            for history in histories
            for of in history
            if of.step == 0
        ]
        self.client.log_batch(run.info.run_id, metrics=metrics)

    def _save_model(self, run_id: str, model: Any, net: Any, config: dict[Any, Any], example: Any) -> None:
        """Writes the files of a model, in place where that is on this machine."""
        import safetensors
        import torch
        from mlflow.models import Model, ModelSignature
        from mlflow.pyfunc import save_model
        from mlflow.types.schema import Schema, TensorSpec
        from mlflow.utils.file_utils import local_file_uri_to_path

        from howdeep import served

        logging.getLogger("mlflow.pyfunc").setLevel(logging.ERROR)  # it has a word for each model
        with torch.no_grad():
            output = net(torch.from_numpy(example)).numpy()
        inputs, outputs = (Schema([TensorSpec(a.dtype, (-1, *a.shape[1:]))]) for a in (example, output))
        local = model.artifact_location.startswith("file:")
        with tempfile.TemporaryDirectory() as folder:
            place = local_file_uri_to_path(model.artifact_location) if local else f"{folder}/model"
            served.write(Path(folder, "net"), net, config)
            served.copy_code(Path(folder, "howdeep"))
            save_model(
                place,
                loader_module=served.__name__,
                data_path=f"{folder}/net",
                mlflow_model=Model(
                    model.artifact_location, run_id, model_uuid=model.model_id, model_id=model.model_id
                ),
                signature=ModelSignature(inputs, outputs),
                input_example=example,
                pip_requirements=[
                    f"torch=={torch.__version__.split('+')[0]}", "numpy", f"safetensors=={safetensors.__version__}",
                ],
                code_paths=[f"{folder}/howdeep"],
            )  # fmt: skip
            if not local:
                with _clouds_are_mlflows():
                    self.client.log_model_artifacts(model.model_id, place)


def _left(process: str | None) -> bool:
    """Whether what belongs to a process was left by it; what belongs to none was."""
    return is_gone(process or f"{platform.node()}:0:0")


@contextmanager
def _clouds_are_mlflows() -> Iterator[None]:
    """Artifacts may lie in anybody's cloud, whose library raises its own kinds of errors: they are MLflow's here."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError):
        raise
    except Exception as error:
        raise MlflowException(f"{type(error).__name__}: {error}") from error


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


def _summary(record: dict, provenance: dict | None) -> list[Value]:
    """What is known only when a run has ended: cost, gaps, what it measured in its best epoch."""
    summary: dict[str, float | None] = dict(record["cost"])
    for when, gap in (record["gap"] or {}).items():
        summary |= {f"gap_{when}/{name}": value for name, value in gap.items()}
    if record["best_epoch"] is not None:
        best = next(row for row in record["epochs"] if row["epoch"] == record["best_epoch"])
        measured = {name.removeprefix("val/"): v for name, v in best.items() if name.startswith("val/")}
        summary |= {"best_epoch": best["epoch"]} | {f"best/{name}": v for name, v in measured.items()}
    if provenance:
        summary |= {"seconds": provenance["seconds"], "memory_mb": provenance["memory_mb"]}
    return [(name, value, 0) for name, value in summary.items()]


@dataclass
class TrackedRun:
    """An open run. Rows of epochs are buffered and flushed every few seconds and at the end."""

    store: Store
    run_id: str
    artifacts: str  # their address
    _sent: int = 0
    _flushed: float = field(default_factory=time.monotonic)

    @hold_stop()
    def log_epochs(self, rows: list[dict[str, float]], *, flush: bool = False) -> None:
        """Given all rows so far, sends those not sent yet, if it is time."""
        if not flush and time.monotonic() - self._flushed < FLUSH_SECONDS:
            return
        self.store.log(self.run_id, self._unsent(rows))
        self._sent, self._flushed = len(rows), time.monotonic()

    def _unsent(self, rows: list[dict[str, float]]) -> list[Value]:
        fresh = rows[self._sent :]
        return [(name, v, int(row["epoch"])) for row in fresh for name, v in row.items() if name != "epoch"]

    @hold_stop()
    def end(self, record: dict, provenance: dict | None) -> None:
        """Writes the rest; FINISHED, or FAILED where the run diverged.

        Config and gradients go into one file, since each of them would cost as much as an epoch.
        """
        about = {name: value for name, value in record.items() if name != "epochs"}
        self.store.log_file(self.artifacts, "record.json", json.dumps(about, indent=1).encode())
        self.store.log(
            self.run_id,
            [*self._unsent(record["epochs"]), *_summary(record, provenance)],
            tags={"howdeep.reason": record["reason"]} if record["reason"] else None,
            status="FINISHED" if record["state"] == "finished" else "FAILED",
        )

    @hold_stop()
    def abort(self, error: BaseException, rows: list[dict[str, float]]) -> None:
        """Ends the run as KILLED if it was stopped or pruned, else as FAILED, with the epochs that it had."""
        self.store.log(
            self.run_id,
            self._unsent(rows),
            tags={"pruned": "true"} if isinstance(error, Pruned) else None,
            status="KILLED" if isinstance(error, Stopped | Pruned) else "FAILED",
        )


@dataclass(frozen=True)
class TrialOf:
    """Where in a sweep a run belongs: its study, its number, and the interrupted trials whose place it takes."""

    study: str
    number: int
    replaces: tuple[int, ...] = ()


def _run_name(record: dict, trial: TrialOf | None) -> str:
    cell = Cell(record["data"], record["model"], record["depth"], record["matching"])
    name = cell.run_name(record["seed"])
    if trial:
        return f"{trial.number:04d}-{name}"
    return name if record["entry"] else f"{cell.data}-{cell.model}-{name}"


def flat(node: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """The leaves of a nested config: `[('model.depth', 4), ...]`."""
    if not isinstance(node, dict):
        return [(prefix, node)]
    return [
        leaf
        for name, child in node.items()
        for leaf in flat(child, f"{prefix}.{name}" if prefix else str(name))
    ]
