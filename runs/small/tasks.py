"""The tasks that the bundled model is evaluated on, from what is at hand.

In: CIFAR-10's test set, what `prepare.py` held out, Flickr8k's test split, and emoji. Out: a folder below OUT for each task,
the same bytes at every run, and README.md, which lists them. None of the pictures is in the model's training pairs; what is
known to it in another way is said beside each task.

    python runs/small/tasks.py --cifar10 cifar10-test.tar.gz --named pairs/named/heldout --photos pairs/photos/heldout \
        --flickr8k flickr8k-test.tar --emoji node_modules --out tasks
"""

import argparse
import hashlib
import sys
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from emoji_classes import CIFAR10, IMAGENET, KINDS
from emoji_hands import HANDS, Emoji, code
from task_folders import Classification, Picture, Retrieval, check_empty, write_tasks

from fullclip.core.types import Pair
from fullclip.data.drops import Drops
from fullclip.data.shards import read_shards
from fullclip.evaluation.datasets import class_names, imagenet_wordnet_ids, templates

Task = Classification | Retrieval

REFERENCE, FLAG_HANDS = "google", ("google", "twitter", "openmoji")  # Fluent's flags are Google's, recoloured
EMOJI_SENTENCES = (
    "an emoji of a {}.", "a drawing of a {}.", "a cartoon of a {}.", "an icon of a {}.", "a clip art picture of a {}.",
    "a simple picture of a {}.", "{}",
)  # fmt: skip
FLAG_SENTENCES = ("the flag of {}.", "an icon of the flag of {}.", "the national flag of {}.", "{} flag")


def halves(pictures: Sequence[Picture]) -> dict[str, list[Picture]]:
    """Of each class the first, third ... of test and the others of train, in the order of a check sum of the pictures."""
    groups = defaultdict[int, list[Picture]](list)
    for picture in sorted(pictures, key=lambda picture: hashlib.sha256(picture.data).hexdigest()):
        groups[picture.label].append(picture)
    return {
        "train": [picture for group in groups.values() for picture in group[1::2]],
        "test": [picture for group in groups.values() for picture in group[::2]],
    }


def both(whole: Classification, *, note: str) -> list[Classification]:
    """A set that has test pictures alone, and the same cut into halves, so that probes can be fitted."""
    cut = Classification(
        name=f"{whole.name}-halves",
        classes=whole.classes,
        templates=whole.templates,
        splits=halves(whole.splits["test"]),
        note=note,
    )
    return [whole, cut]


def cifar10(tar: Path) -> list[Task]:
    """A tar of KEY.jpg and KEY.cls with classnames.txt, which has to name the classes in CIFAR-10's order."""
    contents = read_tar(tar)
    ours = class_names("cifar10")
    theirs = contents.get("classnames.txt", b"").decode().split()
    if theirs != [names[0] for names in ours]:
        raise ValueError(
            f"{tar}: no CIFAR-10, its classnames.txt says {theirs}; give a tar of KEY.jpg, KEY.cls, classnames.txt"
        )
    keys = sorted(name.removesuffix(".jpg") for name in contents if name.endswith(".jpg"))
    if missing := [key for key in keys if f"{key}.cls" not in contents]:
        raise ValueError(f"{tar}: {missing[0]}.jpg has no {missing[0]}.cls beside it; fetch it again")
    pictures = [Picture(key=key, data=contents[f"{key}.jpg"], label=int(contents[f"{key}.cls"])) for key in keys]
    whole = Classification(
        name="cifar10",
        classes=ours,
        templates=templates("cifar10"),
        splits={"test": pictures},
        note="CIFAR-10's test split.",
    )
    return [*both(whole, note="CIFAR-10's test split in two halves: the paper's train split is not at hand.")]


def named(shards: Path) -> list[Task]:
    """Held-out pictures of some of ImageNet's classes; each pair's metadata has its WordNet id."""
    ids, names = imagenet_wordnet_ids(), class_names("imagenet")
    pairs = read_pairs(shards)
    wnids = [str(pair.meta.get("wnid")) for pair in pairs]
    if strange := sorted(set(wnids) - set(ids)):
        raise ValueError(f"{shards}: {strange[0]} is no class of ImageNet; give the named/heldout that prepare.py has written")
    there = sorted(set(wnids), key=ids.index)
    labels = {wnid: label for label, wnid in enumerate(there)}
    whole = Classification(
        name="named-heldout",
        classes=[names[ids.index(wnid)] for wnid in there],
        templates=templates("imagenet"),
        splits={
            "test": [
                Picture(key=pair.key, data=pair.image, label=labels[wnid]) for pair, wnid in zip(pairs, wnids, strict=True)
            ]
        },
        note="Not zero-shot: other pictures of these classes, with their names, are trained on, and a trunk that learned"
        " ImageNet's labels has seen these very pictures.",
    )
    return [*both(whole, note="The same in two halves. A trunk that learned ImageNet's labels has seen these very pictures.")]


def retrieval(name: str, shards: Path, *, note: str) -> list[Task]:
    return [Retrieval(name=name, pairs=read_pairs(shards), note=note)]


def emoji(folder: Path, made: Sequence[Task]) -> list[Task]:
    """Things and flags by several hands, one of which is the reference; and the classes of the photographs in `made`, drawn."""
    drawings = Emoji(folder)
    tasks = [*_things(drawings), *_kinds(drawings), *_flags(drawings)]
    references = {task.name: task for task in made if isinstance(task, Classification)}
    if "cifar10-halves" in references:
        tasks.append(_drawn(drawings, "cifar10", CIFAR10, reference_classes={}))
    if "named-heldout-halves" in references:
        classes = {
            wnid: name[0]
            for wnid, name in zip(imagenet_wordnet_ids(), class_names("imagenet"), strict=True)
            if name in references["named-heldout-halves"].classes
        }
        chosen = {name: entry for name, entry in IMAGENET.items() if classes.keys() & set(entry[0])}
        theirs = {name: [classes[wnid] for wnid in wnids if wnid in classes] for name, (wnids, _) in chosen.items()}
        shown = {name: text for name, (_, text) in chosen.items()}
        tasks.append(_drawn(drawings, "named-heldout", shown, reference_classes=theirs))
    return tasks


def _things(drawings: Emoji) -> Iterator[Classification]:
    """One picture for each class, its name CLDR's."""
    shown = [each for _, text in KINDS.values() for each in text.split()]
    for hand in HANDS:
        yield Classification(
            name=f"emoji-{hand}",
            classes=[(drawings.name(each),) for each in shown],
            templates=EMOJI_SENTENCES,
            splits={"test": _pictures(drawings, {number: [each] for number, each in enumerate(shown)}, [hand])},
            note="One drawing of each thing.",
            reference="" if hand == REFERENCE else f"emoji-{REFERENCE}",
        )


def _kinds(drawings: Emoji) -> Iterator[Classification]:
    """The same things by their kind. Half of the things of each are trained on, drawn by the reference's hand alone."""
    ordered = [sorted(text.split(), key=lambda each: hashlib.sha256(each.encode()).hexdigest()) for _, text in KINDS.values()]
    test = {label: things[::2] for label, things in enumerate(ordered)}
    train = {label: things[1::2] for label, things in enumerate(ordered)}
    for hand in HANDS:
        splits = {"test": _pictures(drawings, test, [hand])}
        if hand == REFERENCE:
            splits = {"train": _pictures(drawings, train, [hand]), **splits}
        yield Classification(
            name=f"emoji-kinds-{hand}",
            classes=[names for names, _ in KINDS.values()],
            templates=EMOJI_SENTENCES,
            splits=splits,
            note="Kinds of things; no thing is in both halves.",
            reference="" if hand == REFERENCE else f"emoji-kinds-{REFERENCE}",
        )


def _flags(drawings: Emoji) -> Iterator[Classification]:
    countries = {
        flag: name for flag, name in drawings.countries().items() if all(drawings.has(flag, hand) for hand in FLAG_HANDS)
    }
    for hand in FLAG_HANDS:
        yield Classification(
            name=f"flags-{hand}",
            classes=[(name,) for name in countries.values()],
            templates=FLAG_SENTENCES,
            splits={"test": _pictures(drawings, {number: [flag] for number, flag in enumerate(countries)}, [hand])},
            note="Flags of countries and territories, some of them the same; the training drawings have flags by other hands.",
            reference="" if hand == REFERENCE else f"flags-{REFERENCE}",
        )


def _drawn(drawings: Emoji, name: str, classes: dict[str, str], *, reference_classes: dict[str, list[str]]) -> Classification:
    """Classes of photographs as all hands draw them: a shift."""
    return Classification(
        name=f"{name}-emoji",
        classes=[(each,) for each in classes],
        templates=EMOJI_SENTENCES,
        splits={"test": _pictures(drawings, dict(enumerate(text.split() for text in classes.values())), list(HANDS))},
        note=f"The classes as {len(HANDS)} sets of emoji draw them.",
        reference=f"{name}-halves",
        reference_classes=reference_classes,
    )


def _pictures(drawings: Emoji, things: dict[int, list[str]], hands: Sequence[str]) -> list[Picture]:
    return [
        Picture(key=f"{hand}-{code(each)}", data=drawings.picture(each, hand), label=label)
        for label, every in things.items()
        for each in every
        for hand in hands
    ]


def read_tar(tar: Path) -> dict[str, bytes]:
    """The files in a tar or tar.gz by name. ValueError where it is torn."""
    try:
        with tarfile.open(tar) as opened:
            members = [(member, opened.extractfile(member)) for member in opened if member.isfile()]
            return {member.name: content.read() for member, content in members if content is not None}
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(f"torn tar: {tar} ({error}); fetch it again") from None


def read_pairs(shards: Path) -> list[Pair]:
    """The pairs of a shard or a folder of them. ValueError where one is torn, or there is none."""
    drops = Drops()
    pairs = list(read_shards([str(shards)], drops))
    if drops.counts or not pairs:
        torn = drops.examples.get("torn shard")
        reason = f"torn: {torn[0]}" if torn else drops.summary() if drops.counts else "no pairs in it"
        raise ValueError(f"{shards}: {reason}; fetch it again, or go on without it with --skip-torn")
    return pairs


def gathered(options: argparse.Namespace) -> list[Task]:
    """The tasks of what was given; with --skip-torn what cannot be read is said and left out."""
    sample = Path(str(files("fullclip").joinpath("assets/sample/heldout")))
    wanted: list[tuple[Path | None, Callable[[Path], list[Task]]]] = [
        (options.cifar10, cifar10),
        (options.named, named),
        (
            options.photos,
            lambda path: retrieval("photos-heldout", path, note="Other photographs of the same collections are trained on."),
        ),
        (sample, lambda path: retrieval("sample-heldout", path, note="Other drawings of the same library are trained on.")),
        (
            options.flickr8k,
            lambda path: retrieval("flickr8k-test", path, note="As it was given: 128 x 128 pixels, whatever the shape was."),
        ),
    ]
    made: list[Task] = []
    for path, make in wanted:
        if path is None:
            continue
        try:
            made += make(path)
        except (ValueError, FileNotFoundError) as error:
            if not options.skip_torn:
                raise
            print(f"left out: {error}")
    return made if options.emoji is None else [*made, *emoji(options.emoji, made)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path, help="a tar of KEY.jpg, KEY.cls and classnames.txt")
    parser.add_argument("--named", type=Path, help="the named/heldout of prepare.py")
    parser.add_argument("--photos", type=Path, help="the photos/heldout of prepare.py")
    parser.add_argument("--flickr8k", type=Path, help="a tar of KEY.jpg and KEY.json")
    parser.add_argument("--emoji", type=Path, help="the node_modules that emoji_hands.py names packages of")
    parser.add_argument("--skip-torn", action="store_true", help="leave out what cannot be read")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        check_empty(options.out)
        tasks = gathered(options)
        write_tasks(tasks, options.out)
    except (ValueError, OSError) as error:
        sys.exit(f"tasks: {error}")
    print("\n".join(task.described() for task in tasks))


if __name__ == "__main__":
    main()
