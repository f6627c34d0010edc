"""What the files hold that one command writes and another reads, and where one holds something else.

Whoever reads a record or a card trusts its keys and kinds; so they are checked once, when the file is read. More keys
than these may stand there.
"""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from howdeep.errors import UserError
from howdeep.names import RULE, is_name


def _name(value: str) -> str:
    if not is_name(value):
        raise ValueError(f"must be a name ({RULE})")
    return value


def _finished_is_whole(record: Any) -> Any:
    """Where a run has finished, it has a best epoch, and gaps."""
    rows = record["epochs"]
    if [row.get("epoch") for row in rows] != list(range(len(rows))):
        raise ValueError("epochs must come in order from 0, each once")
    if record["state"] == "finished":
        if any(row.get(name) is None for row in rows for name in ("train/loss", "val/loss")):
            raise ValueError("each of the epochs must hold a train/loss and a val/loss")
        if record["best_epoch"] not in range(len(rows)):
            raise ValueError("best_epoch must be one of the epochs")
        if record["gap"] is None:
            raise ValueError("gap must be there")
    return record


Name = Annotated[str, AfterValidator(_name)]
Row = dict[str, float | None]


class Score(TypedDict):
    name: Name
    higher_is_better: bool


class Gap(TypedDict):
    best: Row
    last: Row


class Cost(TypedDict):
    parameters: int
    training_flops: int


class Data(TypedDict):
    name: Name
    examples: dict[str, Any]


class Config(TypedDict):
    data: Data
    model: dict[str, Any]
    task: dict[str, Any]
    optimizer: dict[str, Any]
    schedule: dict[str, Any]
    trainer: dict[str, Any]
    train_examples: int | None
    seed: int


class Record(TypedDict):
    key: Name
    entry: Name | None
    data: Name
    model: Name
    task: Name
    depth: int
    matching: Name
    seed: int
    score: Score
    data_checksum: str
    config: Config
    state: Literal["finished", "diverged"]
    reason: str | None
    best_epoch: int | None
    epochs: list[Row]
    gap: Gap | None
    gradient_flow: list[dict[str, float | str | None]]
    cost: Cost
    diverged_before: NotRequired[list[Name]]
    files: NotRequired[dict[Name, str]]


class Setting(TypedDict):
    overrides: list[str]
    key: str
    seconds: NotRequired[list[list[str]]]


class Recipe(TypedDict):
    recipe: str
    races: NotRequired[dict[str, str]]
    files: dict[Name, str]


class OfParts(TypedDict):
    val: dict[str, float]
    test: dict[str, float]


class Baseline(OfParts):
    splits: NotRequired[dict[str, OfParts]]


class Test(TypedDict):
    runs: dict[str, Row]
    baselines: dict[str, dict[str, Baseline]]
    examples: dict[str, int]
    train_examples: dict[str, int]
    in_time: NotRequired[list[str]]
    resampled: NotRequired[dict[str, float]]
    drawn: NotRequired[dict[str, int]]
    classes: dict[str, list[str]]
    files: NotRequired[dict[Name, str]]


class Counts(TypedDict):
    train: int
    test: int


class Card(TypedDict):
    name: Name
    licence: str
    homepage: str
    shape: list[int]
    examples: Counts
    checksums: dict[str, str]
    digest: str
    recipe: NotRequired[str]
    classes: NotRequired[list[str]]
    alphabet: NotRequired[str]
    symbols: NotRequired[list[str]]
    unknown_in_test: NotRequired[float]


class Trace(TypedDict):
    train_seconds: float
    seconds: float
    memory_mb: float
    commit: str
    dirty: str
    system: str
    processor: str
    packages: dict[str, str]


SHAPES: dict[str, Any] = {
    "record.json": TypeAdapter(Annotated[Record, AfterValidator(_finished_is_whole)]),
    "settings.json": TypeAdapter(dict[str, Setting]),
    "test.json": TypeAdapter(Test),
    "card.json": TypeAdapter(Card),
    "recipe.json": TypeAdapter(Recipe),
    "provenance": TypeAdapter(Trace),
}


def check(kind: str, content: Any) -> None:
    """Looks whether what a file holds is what its kind of file does.

    Args:
        kind: the name of the file, or of the folder of files that are called by their run's key; others pass.

    Raises:
        UserError: the first place where it does not, such as 'epochs.0.val/loss', without the file.
    """
    if kind not in SHAPES:
        return
    try:
        SHAPES[kind].validate_python(content, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        came = repr(first["input"])
        what = first["msg"].removeprefix("Value error, ")
        got = (
            ""
            if isinstance(first["input"], dict)
            else f", got {came if len(came) < 100 else came[:100] + '...'}"
        )
        raise UserError(f"{place}: {what}{got}" if place else f"{what}{got}") from None
