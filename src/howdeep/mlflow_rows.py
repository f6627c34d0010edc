"""The rows of a run in MLflow's own tables, in one transaction where its client takes five.

The client opens a session for each kind of thing, reads the run again and commits: for a small network that takes as
long as its training. Here a run begins with one transaction and ends with one. The tables are those of
`mlflow.store.tracking.dbmodels`, and hold row by row what the client would have written (a test compares them).
Only for a store that is a database: a server is spoken to by the client.
"""

import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mlflow.entities import LoggedModelStatus, Metric, Param, RunStatus, RunTag
from mlflow.entities.lifecycle_stage import LifecycleStage
from mlflow.store.tracking.dbmodels import models
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME
from mlflow.utils.time import get_current_time_millis
from mlflow.utils.uri import append_to_uri_path
from mlflow.utils.validation import _validate_batch_log_data
from sqlalchemy import bindparam, insert, literal, select, update
from sqlalchemy.exc import IntegrityError

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy.orm import Session

# Plain tables: objects for a hundred rows cost more than writing them.
EXPERIMENTS, RUNS, TAGS, PARAMS, METRICS, LATEST, DATASETS, INPUTS, INPUT_TAGS, MODELS, MODEL_METRICS, MODEL_TAGS = (
    model.__table__
    for model in (
        models.SqlExperiment, models.SqlRun, models.SqlTag, models.SqlParam, models.SqlMetric, models.SqlLatestMetric,
        models.SqlDataset, models.SqlInput, models.SqlInputTag, models.SqlLoggedModel, models.SqlLoggedModelMetric,
        models.SqlLoggedModelTag,
    )
)  # fmt: skip


class Rows:
    """Reads and writes the runs of an MLflow database.

    Args:
        store: MLflow's own way to its database.
    """

    def __init__(self, store: "SqlAlchemyStore") -> None:
        self.store = store

    def open_run(
        self,
        experiment_id: str,
        name: str,
        tags: Mapping[str, str],
        params: Iterable[tuple[str, str]],
        dataset: "DatasetInput",
        replaced: Iterable[Mapping[str, str]] = (),
    ) -> tuple[str, str]:
        """A new run that is RUNNING; where it has a data set that the store has not seen, that too.

        Args:
            replaced: older runs with all tags of one of these are deleted, and their models: it takes their place.

        Returns:
            The run's id, and the address of its artifacts.
        """
        run_id, experiment = uuid.uuid4().hex, int(experiment_id)
        _, checked, labels = _validate_batch_log_data(
            [], [Param(*param) for param in params], [RunTag(*tag) for tag in tags.items()]
        )
        labels.append(RunTag(MLFLOW_RUN_NAME, name))
        with self.store.ManagedSessionMaker(read_only=False) as session:
            for tags_of_old in replaced:
                for old in session.execute(self._tagged(experiment_id, tags_of_old)).scalars().all():
                    self.store._mark_run_deleted(session, self.store._get_run(session, old))
                    session.execute(update(MODELS).where(MODELS.c.source_run_id == old).values(**_deleted()))
            place = self._artifacts(session, experiment, run_id)
            run = {
                "run_uuid": run_id, "experiment_id": experiment, "name": name, "artifact_uri": place,
                "user_id": "unknown", "source_type": "UNKNOWN", "source_name": "", "source_version": "",
                "entry_point_name": "", "status": RunStatus.to_string(RunStatus.RUNNING),
                "start_time": get_current_time_millis(), "lifecycle_stage": LifecycleStage.ACTIVE,
            }  # fmt: skip
            session.execute(insert(RUNS), run)
            session.execute(insert(TAGS), _pairs(run_id, labels))
            if checked:
                session.execute(insert(PARAMS), _pairs(run_id, checked))
            self._add_input(
                session, run_id, self._dataset(session, experiment, dataset.dataset), dataset.tags
            )
        return run_id, place

    def _artifacts(self, session: "Session", experiment: int, run_id: str) -> str:
        found = session.execute(select(EXPERIMENTS).where(EXPERIMENTS.c.experiment_id == experiment)).one()
        self.store._check_experiment_is_active(found)
        return append_to_uri_path(found.artifact_location, run_id, self.store.ARTIFACTS_FOLDER_NAME)

    def _dataset(self, session: "Session", experiment: int, dataset: Any) -> str:
        """The id of a data set, new or not."""
        known = select(DATASETS.c.dataset_uuid).where(
            DATASETS.c.experiment_id == experiment,
            DATASETS.c.name == dataset.name,
            DATASETS.c.digest == dataset.digest,
        )
        if found := session.execute(known).scalar():
            return found
        row = {
            "dataset_uuid": uuid.uuid4().hex, "experiment_id": experiment, "name": dataset.name,
            "digest": dataset.digest, "dataset_source_type": dataset.source_type, "dataset_source": dataset.source,
            "dataset_schema": dataset.schema, "dataset_profile": dataset.profile,
        }  # fmt: skip
        try:
            with session.begin_nested():
                session.execute(insert(DATASETS), row)
        except IntegrityError:  # another machine came first
            return session.execute(known).scalar_one()
        return row["dataset_uuid"]

    def _add_input(self, session: "Session", run_id: str, dataset: str, tags: Iterable[Any]) -> None:
        row = {
            "input_uuid": uuid.uuid4().hex, "source_type": "DATASET", "source_id": dataset,
            "destination_type": "RUN", "destination_id": run_id,
        }  # fmt: skip
        session.execute(insert(INPUTS), row)
        session.execute(
            insert(INPUT_TAGS),
            [{"input_uuid": row["input_uuid"], "name": tag.key, "value": tag.value} for tag in tags],
        )

    def add(
        self,
        run_id: str,
        metrics: Iterable[Metric] = (),
        tags: Mapping[str, str] | None = None,
        status: str | None = None,
    ) -> None:
        """Adds metrics that the run does not have yet, and tags; a status ends the run.

        The latest value of a metric is that of its highest step.
        """
        found, _, labels = _validate_batch_log_data(
            list(dict.fromkeys(metrics)), [], [RunTag(*tag) for tag in (tags or {}).items()]
        )
        rows = [self._metric(run_id, metric) for metric in found]
        with self.store.ManagedSessionMaker(read_only=False) as session:
            if rows:
                session.execute(insert(METRICS), rows)
                self._update_latest(session, run_id, rows)
            if labels:
                session.execute(TAGS.delete().where(TAGS.c.run_uuid == run_id, TAGS.c.key.in_(tags or ())))
                session.execute(insert(TAGS), _pairs(run_id, labels))
            if status:
                ended = {"status": status, "end_time": get_current_time_millis()}
                session.execute(update(RUNS).where(RUNS.c.run_uuid == run_id).values(**ended))

    def _metric(self, run_id: str, metric: Metric) -> dict[str, Any]:
        is_nan, value = self.store.sanitize_metric_value(metric.value)
        return {
            "run_uuid": run_id, "key": metric.key, "value": value, "timestamp": metric.timestamp, "step": metric.step,
            "is_nan": is_nan,
        }  # fmt: skip

    def _update_latest(self, session: "Session", run_id: str, rows: list[dict[str, Any]]) -> None:
        known = {
            row.key: row._asdict()
            for row in session.execute(select(LATEST).where(LATEST.c.run_uuid == run_id))
        }
        latest: dict[str, dict[str, Any]] = {}
        for row in sorted(rows, key=_rank):
            if row["key"] not in known or _rank(row) > _rank(known[row["key"]]):
                latest[row["key"]] = row
        if new := [row for name, row in latest.items() if name not in known]:
            session.execute(insert(LATEST), new)
        if newer := [
            {f"new_{c}": v for c, v in row.items()} for name, row in latest.items() if name in known
        ]:
            changed = {
                column: bindparam(f"new_{column}") for column in ("value", "timestamp", "step", "is_nan")
            }
            where = (LATEST.c.run_uuid == bindparam("new_run_uuid"), LATEST.c.key == bindparam("new_key"))
            session.execute(update(LATEST).where(*where).values(**changed), newer)

    def copy_metrics(self, run_id: str, model_id: str) -> None:
        """Gives a model the metrics that its run has in step 0."""
        columns = {
            "model_id": literal(model_id), "metric_name": METRICS.c.key, "metric_timestamp_ms": METRICS.c.timestamp,
            "metric_step": METRICS.c.step, "metric_value": METRICS.c.value, "experiment_id": RUNS.c.experiment_id,
            "run_id": RUNS.c.run_uuid,
        }  # fmt: skip
        of_run = (METRICS.c.run_uuid == RUNS.c.run_uuid) & (RUNS.c.run_uuid == run_id) & (METRICS.c.step == 0)
        with self.store.ManagedSessionMaker(read_only=False) as session:
            session.execute(
                insert(MODEL_METRICS).from_select(list(columns), select(*columns.values()).where(of_run))
            )

    def running(self, experiment_id: str, tag: str) -> list[tuple[str, str | None]]:
        """The id of each run that is RUNNING, and the value of a tag."""
        runs = self._active(experiment_id).where(RUNS.c.status == RunStatus.to_string(RunStatus.RUNNING))
        with_tag = runs.add_columns(TAGS.c.value).outerjoin(
            TAGS, (TAGS.c.run_uuid == RUNS.c.run_uuid) & (TAGS.c.key == tag)
        )
        with self.store.ManagedSessionMaker() as session:
            return [(run_id, value) for run_id, value in session.execute(with_tag)]

    def pending_models(self, experiment_id: str, tag: str) -> list[tuple[str, str | None]]:
        """The id of each model that is PENDING, and the value of a tag."""
        pending = select(MODELS.c.model_id).where(
            MODELS.c.experiment_id == int(experiment_id),
            MODELS.c.lifecycle_stage == LifecycleStage.ACTIVE,
            MODELS.c.status == LoggedModelStatus.PENDING.to_int(),
        )
        with_tag = pending.add_columns(MODEL_TAGS.c.tag_value).outerjoin(
            MODEL_TAGS, (MODEL_TAGS.c.model_id == MODELS.c.model_id) & (MODEL_TAGS.c.tag_key == tag)
        )
        with self.store.ManagedSessionMaker() as session:
            return [(model_id, value) for model_id, value in session.execute(with_tag)]

    def ended(self, experiment_id: str, tag: str, kind: tuple[str, str]) -> set[str]:
        """What a tag says in the runs that ended by themselves, of those of which another tag says `kind`."""
        having = select(TAGS.c.run_uuid).where(TAGS.c.key == kind[0], TAGS.c.value == kind[1])
        runs = self._active(experiment_id).where(
            RUNS.c.status.not_in(("RUNNING", "KILLED")), RUNS.c.run_uuid.in_(having)
        )
        return set(self._read(select(TAGS.c.value).where(TAGS.c.key == tag, TAGS.c.run_uuid.in_(runs))))

    def _tagged(self, experiment_id: str, tags: Mapping[str, str]) -> Any:
        """The active runs that have all of these tags."""
        runs = self._active(experiment_id)
        for name, value in tags.items():
            having = select(TAGS.c.run_uuid).where(TAGS.c.key == name, TAGS.c.value == value)
            runs = runs.where(RUNS.c.run_uuid.in_(having))
        return runs

    def _active(self, experiment_id: str) -> Any:
        return select(RUNS.c.run_uuid).where(
            RUNS.c.experiment_id == int(experiment_id), RUNS.c.lifecycle_stage == LifecycleStage.ACTIVE
        )

    def _read(self, query: Any) -> list[str]:
        with self.store.ManagedSessionMaker() as session:
            return list(session.execute(query).scalars())


def _deleted() -> dict[str, Any]:
    return {"lifecycle_stage": LifecycleStage.DELETED, "last_updated_timestamp_ms": get_current_time_millis()}


def _pairs(run_id: str, pairs: Iterable[Any]) -> list[dict[str, str]]:
    """Rows of tags or params, of which all are key and value."""
    return [{"run_uuid": run_id, "key": pair.key, "value": pair.value} for pair in pairs]


def _rank(metric: Mapping[str, Any]) -> tuple[int, int, float]:
    """The higher, the later."""
    return metric["step"], metric["timestamp"], metric["value"]
