"""Which entries of a study are the same network by several recipes: plain, normalised, with residual sums."""

from collections.abc import Iterable

from howdeep.study.params import Entry

RECIPE = ("model.normalisation", "model.residual", "model.initialisation")


def recipes(entries: Iterable[Entry]) -> dict[str, list[str]]:
    """Entries that differ in the network's recipe alone; their matchings, seeds and tuning may differ as well.

    Returns:
        Each group of two entries or more under the name of the one that overrides least of the recipe, which comes
        first; the others follow as in params.yaml.
    """
    groups: dict[tuple, list[tuple[int, str]]] = {}
    for entry in entries:
        others = [override for override in entry.overrides if override.partition("=")[0] not in RECIPE]
        alike = (entry.data, entry.model, entry.task, tuple(sorted(others)))
        groups.setdefault(alike, []).append((len(entry.overrides) - len(others), entry.name))
    found = ([name for _, name in sorted(of, key=lambda one: one[0])] for of in groups.values())
    return {names[0]: names for names in found if len(names) > 1}
