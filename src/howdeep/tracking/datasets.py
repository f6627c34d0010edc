"""A data set as MLflow shows it: where it comes from, what an example is, and its profile, from the data card."""

import json
from typing import Any

PARTS = ("train", "test")


def of(card: dict[str, Any]) -> Any:
    """The data set of a run, as MLflow's input.

    Args:
        card: the data card; one without shape and counts has neither schema nor profile.
    """
    from mlflow.data.http_dataset_source import HTTPDatasetSource
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=card["name"],
        digest=card["digest"][:16],
        source_type="http",
        source=HTTPDatasetSource(card["homepage"]).to_json(),
        schema=json.dumps({"mlflow_colspec": schema(card)}) if "shape" in card else None,
        profile=json.dumps(profile(card)) if "examples" in card else None,
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def schema(card: dict[str, Any]) -> list[dict[str, str]]:
    """The fields of an example in MLflow's form, name and type; MLflow shows nothing of a schema of tensors."""
    size = " x ".join(map(str, card["shape"]))
    if alphabet := card.get("alphabet"):
        return [{"name": "text", "type": f"characters, {len(alphabet)} different ones"}]
    features = {"name": "features", "type": f"{card.get('dtype', 'float32')} ({size})"}
    if classes := card.get("classes"):
        return [features, {"name": "class", "type": f"one of {len(classes)}: {', '.join(map(str, classes))}"}]
    if target := card.get("target"):
        if names := target.get("names"):
            return [features, *({"name": name, "type": "number, standardised"} for name in names)]
        of_target = " x ".join(map(str, target["shape"]))
        return [features, {"name": "target", "type": f"{target['dtype']} ({of_target})"}]
    return [{"name": "series", "type": f"float32 ({size}) at each time"}]


def profile(card: dict[str, Any]) -> dict[str, Any]:
    """How many examples there are, what values they have, and from when they are."""
    found: dict[str, Any] = {f"{part}_examples": card["examples"][part] for part in PARTS}
    if (of_raw := card.get("range", {}).get("raw")) is not None:
        found["range"] = " to ".join(f"{value:.6g}" for value in of_raw)
    for name in ("mean", "std"):
        if isinstance(value := card.get(name), float):
            found[name] = round(value, 4)
    for name, text in (("counts", "examples of each class"), ("period", "period")):
        for part, values in card.get(name, {}).items():
            joint = " to " if name == "period" else ", "
            found[f"{part} {text}"] = joint.join(map(str, values))
    return found | {name: card[name] for name in ("licence",) if name in card}
