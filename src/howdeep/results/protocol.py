"""What was done, told from the data cards and the composed configs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Of no interest where settings are compared: what varies by design, and what the data cards tell.
_LEFT_OUT = (
    *("seed", "model.depth", "model.in_shape", "model.out_features"),
    *("data.name", "data.sources", "data.mirror", "data.licence", "data.homepage"),
    *("data.out_features", "data.examples.in_shape", "data.vocabulary", "data.every_step"),
    *("model.vocabulary", "model.every_step"),
)


def card_facts(name: str, card: Mapping[str, Any] | None) -> dict[str, Any]:
    """The rows that the report shows of a data card; without a card, that there is none."""
    if card is None:
        return {"name": name, "facts": [("data card", f"none: make it with `howdeep prepare data={name}`")]}
    facts = [
        ("training and validation", f"{card['examples']['train']:,}"),
        ("test", f"{card['examples']['test']:,}"),
        ("shape of an example", " x ".join(str(size) for size in card["shape"])),
        *([("classes", str(len(card["classes"])))] if "classes" in card else []),
        ("licence", card["licence"]),
        ("homepage", card["homepage"]),
        *((f"SHA-256 of {part}", checksum) for part, checksum in card["checksums"].items()),
    ]
    return {"name": name, "facts": facts}


def settings(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The settings of each entry; one that differs between its runs shows all its values."""
    entries: dict[str, dict[str, list[str]]] = {}
    for record in sorted(records, key=lambda record: (record["entry"], record["depth"], record["seed"])):
        seen = entries.setdefault(record["entry"], {})
        for name, value in flat(record["config"]):
            if not name.startswith(_LEFT_OUT) and not name.endswith("._partial_"):
                values = seen.setdefault(name, [])
                if value not in values:
                    values.append(value)
    return [
        {"entry": entry, "settings": [(name, ", ".join(values)) for name, values in seen.items()]}
        for entry, seen in entries.items()
    ]


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """('optimizer.lr', '0.003') and so on, `_target_` as the name of its group: ('optimizer', 'torch.optim.Adam')."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield (
                (prefix[:-1] if name == "_target_" else f"{prefix}{name}"),
                "none" if value is None else str(value),
            )
