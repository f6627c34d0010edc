"""A claim: a sentence about depth, declared as an experiment before it is run, in claims/NAME.yaml."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field, ValidationError, model_validator
from yaml import YAMLError

from howdeep.errors import UserError, near
from howdeep.files import reading
from howdeep.names import check_name
from howdeep.study import params
from howdeep.study.claim_parts import (
    Contrast,
    Estimand,
    Further,
    Part,
    Power,
    Prediction,
    Published,
    Region,
    Scatter,
    SeedsOf,
    Text,
)

STUDY = "claims"  # what the studies of all claims are called, and MLflow's experiment
MODES = ("full", "quick", "pilot")
RESERVED = ("code",)  # in claims/, made by `howdeep claim-code`
VARIED = ("model.depth", "matching", "seed")  # what contrasts are made of: no arm may set it
DRAWN = {  # by the seed of a run, see `of_seed`: nor may it set these
    "fixed": (),
    "seeds": ("data.examples.seed",),
    "all": ("data.examples.seed", "data.prepare.seed"),
}


class Claim(Part):
    """One declaration; see claims/README.md for what each key means."""

    name: str = ""
    sentence: Text
    said_by: Text
    why: Text
    scope: Text
    data: str
    task: str
    depths: Annotated[list[Annotated[int, Field(ge=1, strict=True)]], Field(min_length=1)]
    matching: str = "width"
    split: Literal["fixed", "seeds", "all"] = "seeds"
    overrides: list[str] = Field(default_factory=list)
    arms: Annotated[dict[str, list[str]], Field(min_length=1)]
    tune: dict[str, Any] | None = None
    tune_arms: dict[str, dict[str, Any]] = Field(default_factory=dict)  # what an arm changes of it
    patience: int | None = None
    seeds: SeedsOf
    estimand: Estimand
    contrast: Contrast
    further: list[Further] = Field(default_factory=list)
    scatter: Scatter | None = None
    supports: Region
    refutes: Region
    prediction: Prediction
    power: Power
    published: Annotated[list[Published], Field(min_length=1)]
    change_of_mind: Text
    control: Text | None = None
    explanation: Text | None = (
        None  # written after the runs: why they say what they say, where that was not expected
    )

    @model_validator(mode="after")
    def _fits(self) -> "Claim":
        for name, of in [
            ("contrast", self.contrast),
            *((f"further '{of.text}'", of) for of in self.further),
        ]:
            for place in of.places():
                if place.arm not in self.arms:
                    raise ValueError(
                        f"{name} names the unknown arm '{place.arm}'{near(place.arm, self.arms)}"
                    )
                if place.depth not in self.depths:
                    raise ValueError(f"{name} names depth {place.depth}, which `depths` lacks: {self.depths}")
        for arm in self.arms:
            _check_arm(arm)
        for arm, words in {"": self.overrides, **self.arms}.items():
            for word in words:
                name, equals, _ = word.partition("=")
                if not equals or not name:
                    raise ValueError(f"an override must be NAME=VALUE, got '{word}'")
                _value_of(word)
                if name.lstrip("+~") in (*VARIED, *DRAWN[self.split]):
                    where = f"the arm '{arm}'" if arm else "`overrides`"
                    raise ValueError(f"{where} sets {name}, which is what cells differ in: remove it")
        if left := set(self.tune_arms) - set(self.arms):
            arm = min(left)
            raise ValueError(f"tune_arms names the unknown arm '{arm}'{near(arm, self.arms)}")
        if both := set(self.seeds.confirmation) & set(self.seeds.exploration):
            raise ValueError(
                f"seeds {sorted(both)} stand in both confirmation and exploration: what was tried on them is not new"
            )
        if self.seeds.quick > len(self.seeds.confirmation):
            raise ValueError(f"seeds.quick must be at most {len(self.seeds.confirmation)}, the confirmation")
        (low, high), (other_low, other_high) = self.supports.ends, self.refutes.ends
        if low < other_high and other_low < high:
            raise ValueError("`supports` and `refutes` overlap: no outcome may do both")
        return self

    def seeds_of(self, mode: str) -> list[int]:
        if mode == "pilot":
            return self.seeds.exploration
        return self.seeds.confirmation if mode == "full" else self.seeds.confirmation[: self.seeds.quick]

    def cells_of(self, mode: str) -> tuple[list[str], list[int]]:
        """The arms and depths that are trained: in a quick run those of the verdict alone."""
        if mode != "quick":
            return list(self.arms), self.depths
        places = list(self.contrast.places())
        arms, depths = {place.arm for place in places}, {place.depth for place in places}
        return [arm for arm in self.arms if arm in arms], [depth for depth in self.depths if depth in depths]

    def estimand_of(self, of: Contrast) -> Estimand:
        return (of.estimand if isinstance(of, Further) else None) or self.estimand

    def entry(self, arm: str) -> str:
        """What the arm is called where the study of the claim trains it."""
        return f"{self.name}-{arm}"

    def study(self, mode: str) -> dict[str, Any]:
        """The content of a params.yaml that trains the arms at every depth with every seed."""
        entries, (arms, depths) = {}, self.cells_of(mode)
        for arm in arms:
            words = self.arms[arm]
            own = dict(_pair(word) for word in (*self.overrides, *words))
            groups = {"data": self.data, "task": self.task} | {
                name: own.pop(name) for name in ("data", "task", "model") if name in own
            }
            nested = OmegaConf.to_container(OmegaConf.from_dotlist([f"{k}={v}" for k, v in own.items()]))
            own_tuning = {"tune": self.tune_arms[arm]} if arm in self.tune_arms else {}
            entries[self.entry(arm)] = {**groups, "overrides": nested, **own_tuning}
        return {
            "study": STUDY,
            "data": sorted({entry["data"] for entry in entries.values()}),
            "depths": depths,
            "matching": [self.matching],
            "seeds": self.seeds_of(mode),
            "split": self.split,
            "patience": self.patience,
            "optimizer": "adam",
            "schedule": "constant",
            "trainer": "cpu",
            "margins": dict.fromkeys(sorted(params.scores()), 0.0),
            "tune": self.tune,
            "entries": entries,
        }

    @property
    def digest(self) -> str:
        """A checksum of all that decides the runs and the verdict; prose may be mended."""
        prose = {"said_by", "why", "scope", "published", "change_of_mind", "explanation"}
        content = self.model_dump(mode="json", exclude=prose)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _check_arm(arm: str) -> None:
    try:
        check_name(arm, "an arm")
    except UserError as error:
        raise ValueError(str(error)) from None


def _value_of(word: str) -> None:
    """Refuses an override whose value cannot be read."""
    try:
        OmegaConf.from_dotlist([word])
    except (YAMLError, OmegaConfBaseException) as error:
        what = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise ValueError(f"the value of the override '{word}' cannot be read: {what}") from None


def _pair(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name, value


def parse(content: Any, name: str) -> Claim:
    """The claim in the content of a YAML file.

    Raises:
        UserError: the first thing that is wrong, in one line.
    """
    if name in RESERVED:
        raise UserError(
            f"a claim must have another name than {name}, which is a folder of the pipeline: rename claims/{name}.yaml"
        )
    if not isinstance(content, dict):
        raise UserError(
            f"claims/{name}.yaml must be a map with sentence, arms, contrast and more, got {content!r}"
        )
    try:
        return Claim.model_validate({**content, "name": check_name(name, "a claim")})
    except ValidationError as error:
        raise UserError(f"claims/{name}.yaml: {_told(error)}") from None


def _told(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        what = WHAT.get(place)
        return f"lacks the key '{place}'{(what and f', {what}') or ''}"
    if first["type"] == "extra_forbidden":
        owner = Claim
        for part in first["loc"][:-1]:
            annotation = owner.model_fields[str(part)].annotation if str(part) in owner.model_fields else None
            owner = annotation if isinstance(annotation, type) and issubclass(annotation, Part) else Part
        return f"has the unknown key '{place}'{near(first['loc'][-1], owner.model_fields)}"
    if first["type"] == "string_pattern_mismatch" and place.endswith(".metric"):
        return (
            f"{place} must be KIND/NAME, KIND one of test, train, val, gap, gradient, cost and inside, "
            f"got {first['input']!r}"
        )
    what = first["msg"].removeprefix("Value error, ")
    what = what[:1].lower() + what[1:]
    return f"{place}: {what}, got {first['input']!r}" if place else what


WHAT = {
    "prediction": "what we expect and why, written down before the runs",
    "refutes": "the outcome that refutes the sentence, such as {below: 0.0}",
    "supports": "the outcome that supports the sentence, such as {above: 0.02}",
}


class Ledger(Part):
    """claims/params.yaml: which claims there are, how they are run, which are judged with permuted labels too."""

    claims: Literal["full", "quick", "pilot"]
    names: Annotated[list[str], Field(min_length=1)]
    permuted: Annotated[list[str], Field(min_length=1)]


def ledger(folder: Path) -> Ledger:
    """What claims/params.yaml says.

    Raises:
        UserError: no such file, a key that is missing or mistyped, a claim without a file or a file without a claim.
    """
    content = reading.yaml_of(folder / "params.yaml")
    try:
        found = Ledger.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(
            f"claims/params.yaml: {place}: {first['msg'][:1].lower()}{first['msg'][1:]}, got {first['input']!r}"
        ) from None
    there = {path.stem for path in folder.glob("*.yaml")} - {"params", "dvc"}
    for name in (*found.names, *found.permuted):
        if name not in there:
            raise UserError(
                f"claims/params.yaml names the claim '{name}', but there is no claims/{name}.yaml{near(name, there)}"
            )
    if left := there - set(found.names):
        raise UserError(
            f"claims/params.yaml must name each claim, but `names` lacks {', '.join(sorted(left))}: add it there"
        )
    return found


def read(name: str, folder: Path) -> Claim:
    """The claim in claims/NAME.yaml.

    Raises:
        UserError: there is none of that name, or it is not well declared.
    """
    path = folder / f"{check_name(name, 'a claim')}.yaml"
    if not path.exists():
        there = sorted({found.stem for found in folder.glob("*.yaml")} - {"params", "dvc"})
        raise UserError(f"expected the name of a claim, got '{name}'{near(name, there)}")
    return parse(reading.yaml_of(path), name)
