"""Questions in order, each answered once: a record that is there under the same identity is not measured again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fullclip.core.distributed import ToldElsewhereError, everyones, on_leader
from fullclip.core.say import say
from fullclip.evaluation.suite.records import (
    About,
    Record,
    read_about,
    read_record,
    set_damaged_aside,
    write_about,
    write_record,
    write_results,
)
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


def open_folder(out: Path, about: About) -> list[str]:
    """Begin or go on with the folder of an evaluation; ValueError where it holds another model's numbers. What is damaged in it
    is set aside, and said.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; the results go into a folder, give another --out")
    kept = read_about(out)
    if kept is not None and kept.fingerprint != about.fingerprint:
        raise ValueError(f"{out} holds the evaluation of {kept.model}, other weights than {about.model}; give another --out")
    write_about(out, about)
    return set_damaged_aside(out)


def run(
    subject: Subject, questions: Sequence[Question], *, about: About, out: Path, on_record: Callable[[Record], None]
) -> Evaluated:
    """Answer the questions, keep each record in `out` as it is found, and call `on_record` with it on the leading process.

    Where one cannot be answered (a broken set, words too long), the others are; a full disk or a missing package ends all. All
    processes call this together, and are told the same.
    """
    for line in on_leader(lambda: open_folder(out, about), subject.world):
        if subject.world.leads:
            say(line)
    records, failures = list[Record](), list[Failure]()
    for question in questions:
        found = _attempted(subject, question, out)
        if isinstance(found, Failure):
            failures.append(found)
            continue
        records.append(found)
        on_leader(lambda: write_results(out), subject.world)
        if subject.world.leads:
            on_record(found)
    return Evaluated(records=tuple(records), failures=tuple(failures))


def _attempted(subject: Subject, question: Question, out: Path) -> Record | Failure:
    """The record, or the reason of the first process that has one; what all must end for is raised on all."""
    error: Exception | None = None
    try:
        record = _answered(subject, question, out)
    except (ValueError, OSError, ImportError, ToldElsewhereError) as raised:
        error = raised
    told = everyones(None if error is None else (type(error), str(error)), subject.world)
    failed = [each for each in told if each is not None]
    if not failed:
        return record
    if any(issubclass(kind, OSError | ImportError) for kind, _ in failed):
        raise error or ToldElsewhereError("another process cannot go on")
    reasons = [text for kind, text in failed if kind is not ToldElsewhereError]
    return Failure(name=question.name, protocol=question.protocol, reason=reasons[0])


def _answered(subject: Subject, question: Question, out: Path) -> Record:
    def kept() -> tuple[str, Record | None]:
        identity = question.identity(subject)
        record = read_record(out, question.name, question.protocol)
        return identity, record if record is not None and record.details.get("identity") == identity else None

    identity, record = on_leader(kept, subject.world)
    if record is not None:
        return record
    answer = question.answer(subject)
    notes = [task.note for task in question.tasks if task.note]
    told = {"dataset": question.tasks[0].dataset, "task_note": " ".join(notes), "identity": identity}
    record = replace(answer, details={**answer.details, **told})
    on_leader(lambda: write_record(out, record), subject.world)
    return record
