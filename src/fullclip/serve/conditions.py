"""Which conditions a client may filter by. LanceDB runs any function it knows over the index, and `repeat`, `range` or `lpad`
make gigabytes of a line, so only such functions are let through as make nothing longer than what they are given. Its planner
goes down one call for each sign of a chain such as 1+1+1, until the process ends without a word: there may be few of them.
"""

import re

from fullclip.serve.errors import ApiError

_FUNCTIONS = frozenset((
    "abs", "array_contains", "array_has", "array_length", "btrim", "cast", "ceil", "char_length", "character_length",
    "coalesce", "contains", "date_part", "date_trunc", "ends_with", "extract", "floor", "json_exists", "json_extract",
    "json_get", "json_get_bool", "json_get_float", "json_get_int", "json_get_string", "left", "length", "lower",
    "ltrim", "nullif", "octet_length", "position", "regexp_like", "regexp_match", "right", "round", "rtrim",
    "starts_with", "strpos", "substr", "substring", "to_date", "to_timestamp", "trim", "try_cast", "upper"
))  # fmt: skip
_WORDS = frozenset((
    "all", "and", "any", "between", "case", "char", "decimal", "else", "escape", "ilike", "in", "is", "like", "not",
    "or", "then", "timestamp", "varchar", "when"
))  # fmt: skip
_STRING = r"'(?:[^']|'')*'"
_NAME = r'"(?:[^"]|"")*"|`(?:[^`]|``)*`'
_OUTSIDE = re.compile(r"[\w\s.,()=<>!+*/%|~:-]*")  # without signs that begin remarks or quotes in some dialect
_JOINT = re.compile(r"[()=<>!+*/%|~-]|::|\b(?:and|or|not|is|in|like|ilike|between|case|when)\b", re.IGNORECASE)
MOST_JOINTS = 250  # some 700 end the process
_CALL = re.compile(r"(\w+|'')\s*\(")


def check_condition(where: str) -> None:
    """ApiError unless a condition keeps to comparisons and to functions that take little. What is quoted is not looked at, so
    nothing may stand there that one dialect takes for the end of a quote and another does not.
    """
    bare = re.sub(f"{_STRING}|{_NAME}", _blank, where)
    outside = re.sub("''", "", bare)
    if "\\'" in where or '\\"' in where or re.search(r"[\w&]''", bare):
        raise _refused("a quote stands after a space or a sign, and a backslash before none")
    if not _OUTSIDE.fullmatch(outside) or any(sign in outside for sign in ("--", "/*", "//")):
        raise _refused("comparisons of columns, joined with AND, OR and NOT, without remarks")
    if len(_JOINT.findall(outside)) > MOST_JOINTS:
        raise _refused(f"over {MOST_JOINTS} signs and words such as AND; ask for many values as column IN (1, 2, 3)")
    for name in _CALL.findall(bare):
        if name.lower() not in _FUNCTIONS | _WORDS:
            shown = name[:40] if name.isidentifier() else "in quotes"
            raise _refused(f"the function {shown} is not among those that may be used")


def _blank(quoted: re.Match[str]) -> str:
    """Two quotes in place of what is between them; for a name as well, which calls a function where a bracket follows."""
    return "''"


def _refused(why: str) -> ApiError:
    return ApiError(400, f"where: {why}", code="invalid_value")
