"""MLflow as a view of the records: an experiment a study, a parent run an entry, a nested run for each run.

A run is known by its run key, a tag. Writes are buffered, since one write to the store costs as much as an
epoch of a small network. `Store` is the only door: nothing else in howdeep imports mlflow, but `ui`, which serves it.
MLflow never ends the work: what it raises is told once, and what it lacks then is rebuilt by `howdeep sync`.
"""

import json
import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from howdeep.errors import Stopped
from howdeep.files.project import Project
from howdeep.processes import progress
from howdeep.processes.locks import host_of, is_gone, this_process
from howdeep.processes.signals import hold_stop, stopping
from howdeep.sweeping.outcomes import Pruned
from howdeep.tracking import database, models
from howdeep.tracking.client import locate, open_client
from howdeep.tracking.failures import clouds_are_mlflows
from howdeep.tracking.view import View, ends_no_work
from howdeep.tracking.words import (
    COMPARISON,
    ENTRY,
    KEY,
    KIND,
    PROCESS,
    STUDY,
    TRIAL,
    TrialOf,
    Value,
    params_of,
    run_name,
    summary,
    tags_of,
)

FLUSH_SECONDS = 3.0
BATCH, TAGS = 1000, 100  # metrics, and params or tags, that MLflow takes in one request
MOST = 50_000  # runs that MLflow finds at once


@dataclass
class Store(View):
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
    _datasets: dict[tuple[str, str], Any] = field(default_factory=dict)
    _pid: int | None = None

    @property
    def client(self):
        """MLflow's client; a forked worker must not use the connections of its parent."""
        if self._pid != os.getpid():
            if self._pid is not None:
                database.leave(self.uri, to_parent=True)
            self._pid = os.getpid()
        return self._open

    @cached_property
    def _open(self):
        return open_client(self.uri, self.root)

    @cached_property
    def experiment_id(self) -> str:
        from mlflow.exceptions import MlflowException

        client = self.client
        with database.lock(self.root):
            if found := client.get_experiment_by_name(self.experiment):
                if found.lifecycle_stage == "deleted":
                    raise MlflowException(
                        f"the experiment {self.experiment} was deleted: restore it with `mlflow experiments restore "
                        f"-x {found.experiment_id}`"
                    )
                return found.experiment_id
            local = self.uri.startswith("sqlite:")
            place = (self.root / database.ARTIFACTS / self.experiment).as_uri() if local else None
            kind = {"mlflow.experimentKind": "custom_model_development"}  # else the UI opens its GenAI pages
            return client.create_experiment(self.experiment, artifact_location=place, tags=kind)

    @ends_no_work(lambda _: [])
    def find(self, **tags: str) -> list[Any]:
        """Active runs with these tags ('.' is written '__'), newest first."""
        return self._search(**tags)

    def _search(self, *conditions: str, **tags: str) -> list[Any]:
        wanted = [f"tags.`{name.replace('__', '.')}` = '{value}'" for name, value in tags.items()]
        words = " and ".join([*wanted, *conditions])
        return list(self.client.search_runs([self.experiment_id], words, max_results=MOST))

    @ends_no_work(lambda _: set())
    def keys(self, entry: str | None = None) -> set[str]:
        """Keys of the runs that are here and finished; of those of an entry, or all."""
        # MLflow takes 3 ms for each run that it finds, since it loads all that runs have.
        of = {ENTRY: entry} if entry else {}
        runs = self._search("attributes.status != 'RUNNING'", **{KIND: "run"}, **of)
        return {run.data.tags[KEY] for run in runs if run.info.status != "KILLED"}

    @ends_no_work(lambda _: set())
    def trials(self, study: str) -> set[int]:
        """Numbers of the trials of a sweep that are here and ended by themselves."""
        runs = self._search(**{KIND: "trial", STUDY: study})
        return {int(run.data.tags[TRIAL]) for run in runs if run.info.status not in ("RUNNING", "KILLED")}

    @ends_no_work(lambda _: 0)
    @hold_stop()
    def close_abandoned(self, host: str | None = None) -> int:
        """Ends the runs that a killed process left RUNNING, and deletes its half-written models; how many runs.

        Args:
            host: another one, which is gone: what its processes have left is ended too.
        """

        def left(process: str | None) -> bool:
            """What belongs to no process was left."""
            return is_gone(process or f"{platform.node()}:0:0") or (process and host_of(process)) == host

        running = self._search("attributes.status = 'RUNNING'")
        gone = [run.info.run_id for run in running if left(run.data.tags.get(PROCESS))]
        for run_id in gone:
            self.client.set_terminated(run_id, "KILLED")
        for model_id, process in models.pending(self.client, self.experiment_id):
            if left(process):
                models.drop(self.client, model_id)
        return len(gone)

    @ends_no_work(lambda _: [])
    def open_elsewhere(self, **tags: str) -> list[str]:
        """A line for each other host to which runs with these tags belong that are RUNNING: they may, or may not."""
        found: dict[str, list[Any]] = {}
        for run in self._search("attributes.status = 'RUNNING'", **tags):
            host = host_of(run.data.tags.get(PROCESS) or this_process())
            if host != platform.node():
                found.setdefault(host, []).append(run.info)
        lines = []
        for host, runs in found.items():
            names = ", ".join([*(run.run_name for run in runs[:3]), *(["..."] if len(runs) > 3 else [])])
            since = datetime.fromtimestamp(min(run.start_time for run in runs) / 1000)
            lines.append(
                f"{len(runs)} runs in MLflow's experiment '{self.experiment}' ({names}) are RUNNING on the host {host} "
                f"since {since:%Y-%m-%d %H:%M}: if that host is gone, end them with `howdeep sync --take-over {host}`"
            )
        return lines

    @ends_no_work(lambda _: None)
    @hold_stop()
    def open_parent(self, name: str, about: dict[str, str], kind: str = "entry") -> str | None:
        """The run under which the runs of an entry, or the trials of a sweep, are nested: found again, or made.

        That of a comparison is always made: MLflow keeps the metrics that a run once had.

        Returns:
            Its id, None where the store is lost.
        """
        tag = STUDY if kind == "sweep" else ENTRY
        found = [] if kind == COMPARISON else self.find(**{KIND: kind, tag: name})
        if found:
            run_id = found[0].info.run_id
            self.client.update_run(run_id, status="RUNNING")
        else:
            run_id = self.client.create_run(
                self.experiment_id, run_name=name, tags={KIND: kind, tag: name}
            ).info.run_id
        self.set_tags(run_id, {**about, PROCESS: this_process()})
        return run_id

    @ends_no_work(lambda _: None)
    @hold_stop()
    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Sets tags in as few requests as MLflow allows."""
        from mlflow.entities import RunTag

        found = [RunTag(name, value) for name, value in tags.items()]
        for first in range(0, len(found), TAGS):
            self.client.log_batch(run_id, tags=found[first : first + TAGS])

    @ends_no_work(lambda _: None)
    @hold_stop()
    def close(self, run_id: str, status: str) -> None:
        self.client.set_terminated(run_id, status)

    @ends_no_work(lambda store: TrackedRun(store, ""))
    @hold_stop()
    def start(
        self,
        record: dict,
        *,
        parent: str | None,
        about: dict[str, str],
        dataset: dict[str, Any],
        trial: TrialOf | None = None,
    ) -> "TrackedRun":
        """Opens the run of a record that is about to be trained; replaces an older run with the same key.

        Two trials may try the same settings: a trial replaces only the interrupted ones whose place it takes.

        Args:
            record: what `records.record.describe` gives.
            about: more tags: commit, dirty flag and the like.
            dataset: the data card.
            trial: where a sweep trains it.
        """
        from mlflow.entities import Param

        self._delete_replaced(record["key"], trial)
        tags = tags_of(record, parent, trial) | {PROCESS: this_process()} | about
        params = [Param(*param) for param in params_of(record)]
        run = self.client.create_run(self.experiment_id, run_name=run_name(record, trial), tags=tags).info
        for first in range(0, len(params), TAGS):
            self.client.log_batch(run.run_id, params=params[first : first + TAGS])
        with database.lock(self.root):  # two first writers of a data set would both insert it, and one crash
            self.client.log_inputs(run.run_id, [self._dataset_input(dataset)])
        return TrackedRun(self, run.run_id)

    def _delete_replaced(self, key: str, trial: TrialOf | None) -> None:
        """Deletes the runs whose place a new one takes, and their models."""
        if trial is None:
            replaced = [{KEY: key, KIND: "run"}]
        else:
            replaced = [{KIND: "trial", STUDY: trial.study, TRIAL: str(number)} for number in trial.replaces]
        self.delete([run for tags in replaced for run in self._search(**tags)])

    @ends_no_work(lambda _: None)
    @hold_stop()
    def delete(self, runs: Iterable[Any]) -> None:
        """Deletes runs and their models, as MLflow does it: until `mlflow gc` it can restore them."""
        for run in runs:
            for model in run.outputs.model_outputs if run.outputs else ():
                self.client.delete_logged_model(model.model_id)
            self.client.delete_run(run.info.run_id)

    def _dataset_input(self, card: dict[str, Any]) -> Any:
        from mlflow.data.http_dataset_source import HTTPDatasetSource
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.entities import Dataset, DatasetInput, InputTag

        one = name, digest = card["name"], card["digest"][:16]  # seeds may have splits of their own
        if one not in self._datasets:
            told = MetaDataset(HTTPDatasetSource(card["homepage"]), name=name, digest=digest)
            tags = [InputTag("mlflow.data.context", "training")]
            self._datasets[one] = DatasetInput(Dataset(**told.to_dict()), tags)
        return self._datasets[one]

    @ends_no_work(lambda _: None)
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
        for first in range(0, len(metrics), BATCH):
            self.client.log_batch(run_id, metrics=metrics[first : first + BATCH])
        if tags:
            self.set_tags(run_id, tags)
        if status:
            self.close(run_id, status)

    @ends_no_work(lambda _: None)
    def log_text(self, run_id: str, name: str, text: str) -> None:
        """Writes a file of a run."""
        with clouds_are_mlflows():
            self.client.log_text(run_id, text, name)

    @ends_no_work(lambda _: None)
    def log_path(self, run_id: str, path: Path, place: str | None = None) -> None:
        """Copies a file, or a folder with all that is in it, to the artifacts of a run.

        Args:
            place: the folder among the artifacts; None: the uppermost.
        """
        with clouds_are_mlflows():
            log = self.client.log_artifacts if path.is_dir() else self.client.log_artifact
            log(run_id, str(path), place)

    @ends_no_work(lambda _: None)
    @hold_stop()
    def log_model(self, run_id: str, net: Any, config: dict[Any, Any], example: Any) -> None:
        """Logs a net as a model of a run that has ended.

        Args:
            config: from which the net was built, with its `_target_`.
            example: a numpy array of a few inputs, (batch, *in_shape), float32.
        """
        models.log(self.client, self.uri, run_id, net, config, example)


@dataclass
class TrackedRun:
    """An open run. Rows of epochs are buffered and flushed every few seconds and at the end."""

    store: Store
    run_id: str
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
        self.store.log_text(self.run_id, "record.json", json.dumps(about, indent=1))
        self.store.log(
            self.run_id,
            [*self._unsent(record["epochs"]), *summary(record, provenance)],
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


@contextmanager
def tracked_parent(
    store: Store | None, name: str, about: dict[str, str], kind: str = "entry"
) -> Iterator[str | None]:
    """The MLflow run of an entry or a sweep, open while it is trained; closes what a killed start left RUNNING."""
    if store is None:
        yield None
        return
    store.close_abandoned()
    parent = store.open_parent(name, about, kind)
    if parent is None:
        yield None
        return
    for line in store.open_elsewhere(**{STUDY if kind == "sweep" else ENTRY: name}):
        progress.say(f"howdeep: {line}")
    try:
        yield parent
    except BaseException as error:
        store.close_abandoned()
        stopped = isinstance(stopping() or error, Stopped)
        store.close(parent, "KILLED" if stopped else "FAILED")
        raise
    store.close(parent, "FINISHED")


def store_of(cfg: DictConfig, project: Project) -> Store | None:
    """The MLflow store of a config, None if it is not tracked."""
    if not cfg.tracking.uri:
        return None
    return _store(locate(cfg.tracking.uri, project.root), cfg.tracking.experiment, project.root)


@cache  # the jobs of a multirun share it: to open it takes as long as a small training
def _store(uri: str, experiment: str, root: Path) -> Store:
    store = Store(uri, experiment, root)
    store.close_abandoned()
    return store
