"""All that is known of a study once it is trained: its tables, and the pictures of them, each made once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import pandas as pd

from howdeep.figures import galleries, pictures
from howdeep.figures.galleries import NONE, Artifacts
from howdeep.figures.pictures import Drawing, one
from howdeep.figures.verdict_map import panel
from howdeep.report import best_so_far, tuning
from howdeep.report.inside import Inside
from howdeep.report.learning import NO_CURVES, Curves, Learning, learning
from howdeep.report.mistakes import Mistakes, mistakes
from howdeep.report.tuning import Trials
from howdeep.results.across import across
from howdeep.results.answers import NO_ANSWERS, Answers
from howdeep.results.baselines import against_baselines
from howdeep.results.choice import choices
from howdeep.results.histories import curves, gradients
from howdeep.results.inspection import NOTHING, Inspection
from howdeep.results.measures import NO_MARGINS
from howdeep.results.recipes import NO_GROUPS, BestOfRecipes, Groups, best_of_recipes
from howdeep.results.scores import held, scores, select, summary
from howdeep.results.verdict import verdicts
from howdeep.results.verdict_map import Row, verdict_map

Records = Sequence[Mapping[str, Any]]
NO_TRIALS: Trials = {}


@dataclass
class Analysis:
    """The tables of a study. A row a run, a cell, an epoch of a cell, an epoch of a layer, a comparison.

    They leave out the points of learning curves, which only `records`, `every_run` and `learning` hold; the point with
    most examples is in all of them.
    """

    records: Records
    test: Mapping[str, Any]  # the content of results/test.json
    baselines: Mapping[str, Any]
    examples: Mapping[str, int]  # of the test set of each entry
    resampled: Mapping[str, float]  # the entries whose seeds drew test examples of their own
    artifacts: Artifacts
    trials: Trials
    every_run: pd.DataFrame
    runs: pd.DataFrame
    cells: pd.DataFrame
    epochs: pd.DataFrame
    flows: pd.DataFrame
    verdicts: pd.DataFrame
    across: pd.DataFrame
    against_baselines: pd.DataFrame
    choices: pd.DataFrame
    recipes: BestOfRecipes
    recipe_groups: Groups
    learning: Learning
    mistakes: Mistakes
    inside: Inside

    @property
    def tuned(self) -> bool:
        """Whether every depth of every entry got settings of its own."""
        return all(self.trials.get(entry) for entry in set(self.runs["entry"]))

    @property
    def tuning(self) -> list[str]:
        """Pictures of what tuning tried, one an entry and matching."""
        return self._of_study.pictures.get("tuning", [])

    @property
    def best_so_far(self) -> list[str]:
        """Pictures of how far tuning came with fewer trials, one an entry and matching."""
        return self._of_study.pictures.get("best_so_far", [])

    @property
    def map(self) -> list[str]:
        """The one picture: every verdict of the study, a panel a matching."""
        return self._of_study.pictures.get("map", [])

    @cached_property
    def map_rows(self) -> dict[str, list[Row]]:
        """What the map shows, by matching."""
        return verdict_map(self.cells, self.verdicts, self.against_baselines)

    @cached_property
    def _of_study(self) -> Drawing:
        panels = tuning.panels(self.trials).items()
        return Drawing(
            [
                *(partial(one, "tuning", tuning.heatmap, title, own) for title, own in panels),
                *(partial(one, "best_so_far", best_so_far.picture, title, own) for title, own in panels),
                *(
                    partial(one, "map", panel, f"Equal {held(matching)}", rows)
                    for matching, rows in self.map_rows.items()
                ),
            ]
        )

    @property
    def tasks(self) -> list[str]:
        return sorted(set(self.cells["task"]))

    @cached_property
    def names(self) -> dict[tuple[str, str], str]:
        """What to call a line within its data set, by (entry, matching)."""
        columns = self.cells[["entry", "matching", "name"]].drop_duplicates()
        return {
            (entry, matching): name for entry, matching, name in columns.itertuples(index=False, name=None)
        }

    def shown(self, task: str) -> list[galleries.Shown]:
        """What the networks of a task made, where they left it."""
        return galleries.shown(select(self.cells, task=task), select(self.runs, task=task), self.artifacts)

    @cached_property
    def drawn(self) -> dict[str, pictures.Drawn]:
        """How many lines (architecture on a data set) of each task have pictures."""
        return pictures.most(self.cells)

    @property
    def pictures(self) -> dict[str, dict[str, list[str]]]:
        """SVG texts by task and kind, a panel each."""
        return {task: drawing.pictures for task, drawing in self._of_tasks.items()}

    @cached_property
    def _of_tasks(self) -> dict[str, Drawing]:
        return {
            task: Drawing(pictures.parts(
                select(self.cells, task=task), select(self.verdicts, task=task), self.runs,
                self.epochs, self.flows, self.baselines, self.artifacts, most=self.drawn[task],
            ))
            for task in self.tasks
        }  # fmt: skip

    def draw(self, n_workers: int) -> None:
        """Makes all pictures, side by side in forked workers: they take most of the time of a comparison.

        Without it each is made when it is first asked for, and looks the same.
        """
        of_parts = (self.inside.drawing, self.learning.drawing, self.mistakes.drawing)
        pictures.draw([*of_parts, *self._of_tasks.values(), self._of_study], n_workers)


def analyse(
    records: Records,
    test: Mapping[str, Any],
    *,
    margins: Mapping[str, float] = NO_MARGINS,
    artifacts: Artifacts = NONE,
    trials: Trials = NO_TRIALS,
    learning_curves: Curves = NO_CURVES,
    recipes: Groups = NO_GROUPS,
    answers: Answers = NO_ANSWERS,
    inspection: Inspection = NOTHING,
) -> Analysis:
    """The tables of a study.

    Args:
        records: the content of each record.json of the study.
        test: the content of results/test.json.
        margins: of each score, the smallest difference that matters.
        artifacts: what runs left to show, by run key and name; see `galleries`.
        trials: what the tuning of each entry tried; no trials of an entry whose settings are the defaults.
        learning_curves: which entries are points of which learning curve; see `study.params.learning_curves`.
        recipes: which entries differ in their recipe alone; see `study.recipes`.
        answers: the content of results/answers.safetensors: what classifiers answered to each test example.
        inspection: the content of results/inspection: what was found inside the networks.

    Raises:
        UserError: there is no record, a score has no margin, or the test scores or the answers lack a finished run.
    """
    every_run = scores(records, test)
    points = {entry for of_curve in learning_curves.values() for entry in of_curve}
    is_shown = [entry not in points for entry in every_run["entry"]]
    runs = every_run.loc[is_shown].reset_index(drop=True)
    shown = [record for record in records if record["entry"] not in points]
    baselines = test["baselines"]
    examples, in_time, overlap = (test.get(name, {}) for name in ("examples", "in_time", "resampled"))
    cells = summary(runs, examples, answers, in_time, overlap)
    compared = against_baselines(runs, baselines, margins, answers, in_time, overlap)
    alone = {task: drawn.alone for task, drawn in pictures.most(cells).items()}
    return Analysis(
        records=records,
        test=test,
        baselines=baselines,
        examples=examples,
        resampled=overlap,
        artifacts=artifacts,
        trials=trials,
        every_run=every_run,
        runs=runs,
        cells=cells,
        epochs=curves(shown),
        flows=gradients(shown),
        verdicts=verdicts(runs, margins, examples, answers, in_time, overlap),
        across=across(runs, baselines),
        against_baselines=compared,
        choices=choices(runs, cells, compared, margins, examples, answers, in_time, overlap),
        recipe_groups=recipes,
        recipes=best_of_recipes(runs, recipes, margins, examples, answers, in_time, overlap),
        learning=learning(every_run, learning_curves, margins, test, answers),
        mistakes=mistakes(
            cells, runs, answers, test.get("classes", {}), drawn=alone.get("classification", 0)
        ),
        inside=Inside(inspection, cells, alone),
    )
