"""What would let a network see the answers: rows that are there twice, groups on both sides, dates drawn at random."""

from collections import Counter
from collections.abc import Mapping, Sequence

from howdeep.intake.guessing import Guess
from howdeep.intake.reading import Sheet


def found(
    sheet: Sheet, columns: Mapping[str, Guess], targets: Sequence[str], split: str, by: str | None
) -> list[str]:
    """Each danger in a sentence, with what to do."""
    told = []
    inputs = [name for name, of in columns.items() if of.kind != "excluded" and name not in targets]
    places = [sheet.names.index(name) for name in (*inputs, *targets)]
    rows = Counter(tuple(row[place] for place in places) for row in sheet.rows)
    twice = sum(often for often in rows.values() if often > 1)
    if twice and split != "group":
        told.append(
            f"{twice} of {len(sheet.rows)} rows are there more than once, all inputs and the target alike: copies may "
            "come to both sides of the split; leave them out of the file, or name what they share with --group"
        )
    if split in ("stratified", "random"):
        dates = [name for name, of in columns.items() if of.kind == "date"]
        if dates:
            told.append(
                f"rows have dates ('{dates[0]}') and are split at random, so that networks learn from rows later than "
                f"those that test them: --time {dates[0]} splits in time"
            )
        for name, of in columns.items():
            if (
                of.kind == "category"
                and name not in targets
                and name.lower().rstrip("_").endswith(("_id", "patient", "subject", "user", "group"))
            ):
                told.append(
                    f"'{name}' may name who rows belong to: --group {name} keeps all rows of one on one side"
                )
    return told
