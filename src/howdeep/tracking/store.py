"""MLflow as a view of the records: an experiment a study, a parent run an entry, a nested run for each run.

A run is known by its run key, a tag. Writes are buffered, since one write to the store costs as much as an
epoch of a small network. `Store` is the only door: nothing else in howdeep imports mlflow, but `ui`, which serves it.
MLflow never ends the work: what it raises is told once, and what it lacks then is rebuilt by `howdeep sync`.
"""

import os
import platform
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from howdeep.files.project import Project
from howdeep.processes.locks import host_of, is_gone, this_process
from howdeep.processes.signals import hold_stop
from howdeep.tracking import database, datasets, models
from howdeep.tracking.client import experiment, locate, open_client
from howdeep.tracking.failures import clouds_are_mlflows
from howdeep.tracking.open_runs import TrackedRun
from howdeep.tracking.view import View, ends_no_work
from howdeep.tracking.words import (
    CELL,
    COMPARISON,
    ENTRY,
    KEY,
    KIND,
    NAME,
    PROCESS,
    STUDY,
    TRIAL,
    TrialOf,
    Value,
    named,
    params_of,
    run_name,
    summary,
    tags_of,
)

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

        client = self.client  # opened before the lock, which it takes too
        with database.lock(self.root):
            if found := experiment(client, self.experiment):
                return found
            local = self.uri.startswith("sqlite:")
            place = (self.root / database.ARTIFACTS / self.experiment).as_uri() if local else None
            kind = {"mlflow.experimentKind": "custom_model_development"}  # else the UI opens its GenAI pages
            try:
                return client.create_experiment(self.experiment, artifact_location=place, tags=kind)
            except MlflowException as error:  # another machine was first, or an answer was lost
                if error.error_code != "RESOURCE_ALREADY_EXISTS" or not (
                    found := experiment(client, self.experiment)
                ):
                    raise
                return found

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
        """Opens the run of a record that is about to be trained; replaces an older run with the same key and entry.

        Two trials may try the same settings: a trial replaces only the interrupted ones whose place it takes.

        Args:
            record: what `records.record.describe` gives.
            about: more tags: commit, dirty flag and the like.
            dataset: the data card.
            trial: where a sweep trains it.
        """
        from mlflow.entities import Param

        self._delete_replaced(record, trial)
        tags = tags_of(record, parent, trial) | {PROCESS: this_process()} | about
        params = [Param(*param) for param in params_of(record)]
        run = self.client.create_run(self.experiment_id, run_name=run_name(record, trial), tags=tags).info
        for first in range(0, len(params), TAGS):
            self.client.log_batch(run.run_id, params=params[first : first + TAGS])
        with database.lock(self.root):  # two first writers of a data set would both insert it, and one crash
            self.client.log_inputs(run.run_id, [self._dataset_input(dataset)])
        return TrackedRun(self, run.run_id)

    def _delete_replaced(self, record: Mapping[str, Any], trial: TrialOf | None) -> None:
        """Deletes the runs whose place a new one takes, and their models. Two entries may hold the same network."""
        if trial is None:
            found = self._search(**{KEY: record["key"], KIND: "run"})
            self.delete([run for run in found if run.data.tags.get(ENTRY) == record["entry"]])
            return
        replaced = [{KIND: "trial", STUDY: trial.study, TRIAL: str(number)} for number in trial.replaces]
        self.delete([run for tags in replaced for run in self._search(**tags)])

    @ends_no_work(lambda _: None)
    @hold_stop()
    def delete(self, runs: Iterable[Any]) -> None:
        """Deletes runs and their models, as MLflow does it: until `mlflow gc` it can restore them."""
        for run in runs:
            for model_id in models.of_run(self.client, run):
                self.client.delete_logged_model(model_id)
            self.client.delete_run(run.info.run_id)

    def _dataset_input(self, card: dict[str, Any]) -> Any:
        one = card["name"], card["digest"]  # seeds may have splits of their own
        if one not in self._datasets:
            self._datasets[one] = datasets.of(card)
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
        metrics = self._metrics(values)
        for first in range(0, len(metrics), BATCH):
            self.client.log_batch(run_id, metrics=metrics[first : first + BATCH])
        if tags:
            self.set_tags(run_id, tags)
        if status:
            self.close(run_id, status)

    @staticmethod
    def _metrics(values: Iterable[Value], **model: str) -> list[Any]:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        return [Metric(name, float(of), now, step, **model) for name, of, step in values if of is not None]  # type: ignore[arg-type]

    @ends_no_work(lambda _: None)
    @hold_stop()
    def complete(
        self, run: Any, record: Mapping[str, Any], test: Iterable[Value] = (), trial: TrialOf | None = None
    ) -> None:
        """Gives a run that has ended, and its models, what an older howdeep did not write, or `evaluate` has found.

        Names, tags, parameters and the summary, in one request; in none where nothing is lacking. What the run has
        beside that stays, since MLflow takes back neither a parameter nor a metric.

        Args:
            run: as `find` gives it.
            test: as `words.of_test` gives it.
        """
        wanted = named(record) | {NAME: run_name(record, trial)}
        tags = {name: of for name, of in wanted.items() if run.data.tags.get(name) != of}
        params = [param for param in params_of(record) if param[0] not in run.data.params]
        self.add(run, [*summary(record, None), *test], tags, params)

    @ends_no_work(lambda _: None)
    @hold_stop()
    def add(
        self,
        run: Any,
        values: Iterable[Value],
        tags: Mapping[str, str] | None = None,
        params: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Logs what an ended run lacks of these metrics, to it and to its models, and these tags and parameters.

        Args:
            run: as `find` gives it.
        """
        from mlflow.entities import Param, RunTag

        fresh = [
            value for value in values if value[1] is not None and run.data.metrics.get(value[0]) != value[1]
        ]
        told = [Param(*param) for param in params][:TAGS]
        if not (fresh or tags or told):
            return
        there = models.of_run(self.client, run) if run.outputs and run.outputs.model_outputs else []
        owners = [{"model_id": model_id} for model_id in there]
        metrics = [metric for owner in owners or [{}] for metric in self._metrics(fresh, **owner)]
        self.client.log_batch(
            run.info.run_id, metrics, told, [RunTag(name, of) for name, of in (tags or {}).items()]
        )
        if CELL in (tags or {}):
            for owner in owners:
                self.client.set_logged_model_tags(**owner, tags=models.tags_of(run.data.tags | (tags or {})))

    @ends_no_work(lambda _: None)
    @hold_stop()
    def describe(self, tags: Mapping[str, str], drop: str | None = None) -> None:
        """Sets those tags of the experiment that are not yet so: its description and its views.

        Args:
            drop: other tags that begin so are deleted.
        """
        there = self.client.get_experiment(self.experiment_id).tags
        for name, text in tags.items():
            if there.get(name) != text:
                self.client.set_experiment_tag(self.experiment_id, name, text)
        for name in there:
            if drop and name.startswith(drop) and name not in tags:
                self.client.delete_experiment_tag(self.experiment_id, name)

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
    def log_model(
        self,
        run_id: str,
        net: Any,
        config: dict[Any, Any],
        example: Any,
        encoding: Mapping[str, Any] | None = None,
    ) -> None:
        """Logs a net as a model of a run that has ended.

        Args:
            config: from which the net was built, with its `_target_`.
            example: a numpy array of a few inputs, (batch, *in_shape), float32; not read where there is an encoding.
            encoding: what stands before and after the net, see `encoding.predictor.description`; None: it takes arrays.
        """
        models.log(self.client, self.uri, run_id, net, config, example, encoding)


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
