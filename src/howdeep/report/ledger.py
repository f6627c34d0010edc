"""The ledger: every claim with its prediction, its verdict and its numbers, as a page and as a table."""

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from howdeep.figures import claims
from howdeep.figures.figure import PAPER
from howdeep.records.trials import TrialRow
from howdeep.report import best_so_far
from howdeep.results.claims import Judged
from howdeep.results.statistics import Interval
from howdeep.results.tables import Table, Text, markdown
from howdeep.results.wording import MISSING
from howdeep.study.claim import Claim
from howdeep.study.claim_parts import Estimand, Further, Region

PERMUTED = "labels permuted"


class Line(NamedTuple):
    """A claim as the ledger has it.

    Args:
        name: of the claim; of a control, with what was done to it.
        claim: its declaration.
        verdict: by itself, or STALE, or NOT RUN.
        together: with Holm over the whole ledger.
        adjusted: p of Holm.
        judged: its numbers; None where there are none.
        registered: whether the declaration stood in the commit that the runs were started from; None: not known.
        rows: the values of each run.
        reason: why it failed.
        permuted: whether it is the control made of another claim's runs.
        further: the other contrasts, with their intervals and seeds.
        trials: of the arms that were tuned; an arm stands in place of the optimizer.
    """

    name: str
    claim: Claim
    verdict: str
    together: str
    adjusted: float
    judged: Judged | None
    registered: bool | None
    rows: Sequence[Mapping[str, Any]]
    reason: str | None = None
    permuted: bool = False
    further: Sequence[tuple[Further, Interval, int]] = ()
    trials: Sequence[TrialRow] = ()

    @property
    def control(self) -> bool:
        return self.permuted or self.claim.control is not None


def shown(value: float) -> str:
    """Three significant digits, with a real minus."""
    return MISSING if math.isnan(value) else f"{value:.3g}".replace("-", "\N{MINUS SIGN}")


def estimate(interval: Interval) -> str:
    """'0.21 [0.18, 0.24]'."""
    if math.isnan(interval.mean):
        return MISSING
    mean, low, high = map(shown, interval)
    return f"{mean} [{low}, {high}]"


def region(of: Region) -> str:
    """'above 0.02'."""
    return str(of).replace("-", "\N{MINUS SIGN}")


def table(lines: Sequence[Line]) -> Table:
    """A row a claim: the sentence, what was predicted, the verdict, one number against the published one.

    What holds for the whole ledger stands beside a verdict only where it is another one.
    """
    headings = ["claim", "sentence", "predicted", "verdict", "ours, 95 % interval", "published"]
    rows = []
    for line in lines:
        claim = line.claim
        sentence = f"{claim.sentence} ({PERMUTED})" if line.permuted else claim.sentence
        predicted = "not supported" if line.control else claim.prediction.verdict
        verdict = line.verdict if line.together == line.verdict else f"{line.verdict}; {line.together} (Holm)"
        ours = f"{estimate(line.judged.interval)} {claim.estimand.unit}" if line.judged else MISSING
        rows.append(
            [
                Text(line.name, line.name, f"claim-{line.name}"),
                Text(sentence, sentence),
                Text(predicted, predicted),
                Text(verdict, verdict),
                Text(ours, line.judged.interval.mean if line.judged else math.nan),
                Text(
                    MISSING if line.permuted else "; ".join(of.figure for of in claim.published), claim.name
                ),
            ]
        )
    return Table(headings, 2, rows)


def as_markdown(lines: Sequence[Line]) -> str:
    """The table for README, without names and published figures."""
    found = table(lines)
    return markdown(Table(found.headings[1:5], 4, [row[1:5] for row in found.rows]))


def as_csv(lines: Sequence[Line]) -> str:
    """ledger.csv: a row a claim, all numbers."""
    rows = []
    for line in lines:
        judged = line.judged
        mean, low, high = judged.interval if judged else (math.nan,) * 3
        rows.append(
            {
                "claim": line.name, "sentence": line.claim.sentence, "control": line.control,
                "predicted": line.claim.prediction.verdict, "verdict": line.verdict, "verdict_ledger": line.together,
                "p_holm": line.adjusted, "metric": line.claim.estimand.metric, "unit": line.claim.estimand.unit,
                "estimate": mean, "low": low, "high": high, "supports": str(line.claim.supports),
                "refutes": str(line.claim.refutes), "seeds": judged.n if judged else 0,
                "detectable": judged.detectable if judged else math.nan, "declaration": line.claim.digest,
            }
        )  # fmt: skip
    return pd.DataFrame(rows).to_csv(index=False, float_format="%.6g", lineterminator="\n")


def as_further(lines: Sequence[Line]) -> str:
    """further.csv: a row a contrast that was declared beside the one that decides."""
    rows = [
        (line.name, of.text, estimand.label, estimand.unit, *interval, seeds)
        for line in lines
        for of, interval, seeds in line.further
        for estimand in [line.claim.estimand_of(of)]
    ]
    columns = ["claim", "contrast", "metric", "unit", "estimate", "low", "high", "seeds"]
    return pd.DataFrame(rows, columns=columns).to_csv(index=False, float_format="%.6g", lineterminator="\n")


def beside(line: Line) -> list[tuple[str, str]]:
    """The other contrasts of a claim in words: what it is, and its number with its unit and seeds."""
    return [
        (
            of.text,
            f"{estimate(interval)} {line.claim.estimand_of(of).unit}, {seeds} seeds" if seeds else MISSING,
        )
        for of, interval, seeds in line.further
    ]


def as_values(lines: Sequence[Line]) -> str:
    """values.csv: a row a run and metric with what was measured, from which every number follows."""
    rows = [{"claim": line.name, **row} for line in lines for row in line.rows]
    columns = ["claim", "metric", "arm", "depth", "seed", "key", "state", "value"]
    return pd.DataFrame(rows, columns=columns).to_csv(index=False, lineterminator="\n")


def values_of(line: Line, estimand: Estimand) -> dict[str, dict[int, list[float]]]:
    """The values of each arm that has any, by depth."""
    found: dict[str, dict[int, list[float]]] = {arm: {} for arm in line.claim.arms}
    for row in line.rows:
        if row["metric"] == estimand.label:
            value = math.nan if row["value"] is None else row["value"]
            found[row["arm"]].setdefault(row["depth"], []).append(value)
    return {
        arm: dict(sorted(of.items()))
        for arm, of in found.items()
        if any(math.isfinite(value) for values in of.values() for value in values)
    }


def drawn(line: Line) -> list[str]:
    """The pictures of a claim; none where nothing was run."""
    if line.judged is None or line.permuted:
        return []
    claim, unit, title = line.claim, line.claim.estimand.unit, line.name.replace("_", " ")
    found = [
        claims.measured(title, unit, values_of(line, claim.estimand)),
        claims.judged(unit, line.judged.interval, claim.supports.ends, claim.refutes.ends),
    ]
    if (scatter := claim.scatter) and line.rows:
        x, y = (_means(values_of(line, of)) for of in (scatter.x, scatter.y))
        points = {arm: {depth: (x[arm][depth], y[arm][depth]) for depth in x[arm]} for arm in x}
        found.append(claims.scatter(title, scatter.x.unit, scatter.y.unit, points))
    if line.trials:
        found.append(best_so_far.picture(title, line.trials))
    return found


def _means(values: Mapping[str, Mapping[int, Sequence[float]]]) -> dict[str, dict[int, float]]:
    return {arm: {depth: float(np.mean(of)) for depth, of in by.items()} for arm, by in values.items()}


def what_we_saw(line: Line) -> str:
    """The outcome in a sentence or two."""
    claim, judged = line.claim, line.judged
    if judged is None:
        return "It was not run yet."
    if line.reason:
        return f"The experiment failed: {line.reason}."
    said = {
        "SUPPORTED": "This supports the sentence",
        "REFUTED": "This refutes the sentence",
        "STALE": "The declaration was changed after these runs, so that they decide nothing",
    }.get(line.verdict, "This decides nothing")
    was = f"What was measured {'differs by' if claim.contrast.minus else 'is'} {estimate(judged.interval)}"
    text = (
        f"{was} {claim.estimand.unit} over {judged.n} seeds. {said}: it would be supported "
        f"{region(claim.supports)}, and refuted {region(claim.refutes)}."
    )
    if line.verdict in ("SUPPORTED", "REFUTED"):
        if line.verdict.lower() != claim.prediction.verdict:
            text += f" We had predicted that it would be {claim.prediction.verdict}."
        if line.together != line.verdict:
            text += " Among all claims of the ledger together it is not certain enough (Holm)."
    if "power" in line.verdict and judged.detectable > claim.power.effect:
        text += (
            f" So few seeds find an effect of {shown(judged.detectable)} in four of five studies; the claim is about "
            f"{shown(claim.power.effect)}."
        )
    return text


def page(lines: Sequence[Line], mode: str) -> str:
    """The whole page, which needs no other file and no network."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = files("howdeep.report").joinpath("ledger.html").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        lines=lines,
        mode=mode,
        paper=PAPER,
        counts={
            word: sum(line.verdict == word and not line.control for line in lines)
            for word in ("SUPPORTED", "REFUTED")
        },
        claims=sum(not line.control for line in lines),
        wrong=[line.name for line in lines if line.control and line.verdict == "SUPPORTED"],
        table=table(lines),
        pictures={line.name: [Markup(picture) for picture in drawn(line)] for line in lines},
        saw={line.name: what_we_saw(line) for line in lines},
        keys={line.name: list(dict.fromkeys(row["key"] for row in line.rows)) for line in lines},
        beside={line.name: beside(line) for line in lines},
    )


def as_text(line: Line) -> str:
    """The section of a claim for a terminal."""
    claim = line.claim
    arms = "\n".join(f"  {arm}: {' '.join((*claim.overrides, *words))}" for arm, words in claim.arms.items())
    explained = f" {claim.explanation}" if claim.explanation else ""
    also = "".join(f"  {what}: {number}\n" for what, number in beside(line))
    published = "\n".join(f"  {of.figure} ({of.source})" for of in claim.published)
    return (
        f"{line.name}: {claim.sentence}\nSaid by: {claim.said_by}\nWhy people believe it: {claim.why}\n\n"
        f"Scope: {claim.scope}\nData: {claim.data}, task {claim.task}, depths {', '.join(map(str, claim.depths))}\n"
        f"Arms:\n{arms}\nMeasured: {claim.estimand.metric} ({claim.estimand.unit})\n"
        f"Supported {region(claim.supports)}, refuted {region(claim.refutes)}\n"
        f"Predicted: {claim.prediction.verdict}, because {claim.prediction.because}\nPublished:\n{published}\n\n"
        f"Verdict: {line.verdict}\n{what_we_saw(line)}{explained}\n"
        f"What would change our mind: {claim.change_of_mind}\n"
        f"{also and f'Beside it, deciding nothing:{chr(10)}{also}'}"
    )
