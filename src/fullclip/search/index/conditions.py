"""Conditions that a user types for --where: which are none, and what LanceDB says of those in a line. Knows nothing of rows."""

import re
from collections.abc import Collection, Sequence

_IN_QUOTES = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|`[^`]*`")
_TEXT = re.compile(r"'(?:[^']|'')*'")
_NAME = re.compile(r'"([^"]*)"|`([^`]*)`|(\w+)')
_PLACEHOLDER = re.compile(r"[?]|\$\w")  # LanceDB's planner panics at one
_LONGEST = 200
# what LanceDB says of a condition that is one, and that a row makes impossible; and of counts, sums and parts of a text
_OF_A_CONDITION = (
    _OF_A_FILTER := "Error applying filter expression",
    _NOT_OF_A_ROW := "Not supported: This feature is not implemented:",
    "Cannot access field",
)


def check_condition(where: str, columns: Sequence[str], hidden: Collection[str]) -> None:
    """ValueError for what is not one condition, and for one that asks for a column that is not one of `columns` but of the
    index's own: one of `hidden`, or of those with an underscore before them, which are LanceDB's.
    """
    if not where.strip():
        raise ValueError("where is empty: name a condition, such as width > 500")
    bare = _IN_QUOTES.sub("", where)
    if ";" in bare:  # what follows one would not be looked at
        raise ValueError(f"where {_short(where)}: one condition, without a semicolon; join several with AND")
    if _PLACEHOLDER.search(bare):
        raise ValueError(f"where {_short(where)}: a placeholder such as ? or $1 has no value; write texts in quotes")
    there = {name.lower() for name in columns}
    for found in _NAME.finditer(_TEXT.sub("''", where)):
        name = next(group for group in found.groups() if group is not None).lower()
        if name not in there and (name in hidden or re.match(r"_[a-z]", name)):
            raise ValueError(f"where {_short(where)}: there is no column {name}; the columns are {', '.join(columns)}")


def is_of_a_condition(error: Exception) -> bool:
    """Whether LanceDB failed at the condition, and not at the rows."""
    return not isinstance(error, RuntimeError) or any(said in str(error) for said in _OF_A_CONDITION)


def impossible(where: str, error: Exception, columns: Sequence[str]) -> ValueError:
    """What to raise in place of LanceDB's own error."""
    return ValueError(f"where {_short(where)}: {_reason(error)}; the columns are {', '.join(columns)}")


def one_line(error: Exception) -> str:
    """What LanceDB says, without the places in its own source."""
    return " ".join(re.sub(r",? ?\S+\.rs:\d+(:\d+)?", "", str(error)).split())[:300]


def _short(where: str) -> str:
    return repr(where if len(where) <= _LONGEST else f"{where[:_LONGEST]}...")


def _reason(error: Exception) -> str:
    """What LanceDB says is wrong with a condition, without what it says of itself."""
    said = one_line(error)
    for noise in (
        "lance error:",
        "LanceError(IO):",
        "Query Execution error:",
        "Execution error:",
        f"{_OF_A_FILTER} to batch:",
        "Arrow error:",
        _NOT_OF_A_ROW,
        "Invalid input,",
        "Invalid user input:",
        "Schema error:",
        "invalid SQL predicate:",
    ):
        said = said.replace(noise, "")
    return " ".join(re.split(r" Valid fields|\. Valid", said)[0].split()).rstrip(".")
