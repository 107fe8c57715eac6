"""Questions in order, each answered once: a record that is there under the same identity is not measured again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fullclip.core.distributed import ToldElsewhereError, on_leader
from fullclip.evaluation.suite.records import About, Record, read_about, read_record, write_about, write_record, write_results
from fullclip.evaluation.suite.subject import Question, Subject


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A question that could not be answered, and why."""

    name: str
    protocol: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What an evaluation found, in the order of its questions, and what it could not answer."""

    records: tuple[Record, ...]
    failures: tuple[Failure, ...]


def open_folder(out: Path, about: About) -> None:
    """Begin or go on with the folder of an evaluation; ValueError where it holds another model's numbers."""
    kept = read_about(out)
    if kept is not None and kept.fingerprint != about.fingerprint:
        raise ValueError(f"{out} holds the evaluation of {kept.model}, other weights than {about.model}; give another --out")
    write_about(out, about)


def run(
    subject: Subject, questions: Sequence[Question], *, about: About, out: Path, on_record: Callable[[Record], None]
) -> Evaluated:
    """Answer the questions, keep each record in `out` as it is found, and call `on_record` with it on the leading process.

    Where one cannot be answered (a broken set, words too long), the others are. All processes call this together.
    """
    on_leader(lambda: open_folder(out, about), subject.world)
    records, failures = list[Record](), list[Failure]()
    for question in questions:
        try:
            record = _answered(subject, question, out)
        except (ValueError, ToldElsewhereError) as error:
            failures.append(Failure(name=question.name, protocol=question.protocol, reason=str(error)))
            continue
        records.append(record)
        if subject.world.leads:
            write_results(out)
            on_record(record)
    return Evaluated(records=tuple(records), failures=tuple(failures))


def _answered(subject: Subject, question: Question, out: Path) -> Record:
    def kept() -> tuple[str, Record | None]:
        identity = question.identity(subject)
        record = read_record(out, question.name, question.protocol)
        return identity, record if record is not None and record.details.get("identity") == identity else None

    identity, record = on_leader(kept, subject.world)
    if record is not None:
        return record
    answer = question.answer(subject)
    record = replace(answer, details={**answer.details, "identity": identity})
    on_leader(lambda: write_record(out, record), subject.world)
    return record
