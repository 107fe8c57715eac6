import json
import math
import string
from dataclasses import dataclass, field, replace
from typing import Literal

import pytest
from hypothesis import given, strategies as st

from fullclip.core.config import first_difference, flat, from_dict, lookup, override, to_dict


@dataclass(frozen=True, kw_only=True)
class Square:
    kind: Literal["square"] = "square"
    side: int = 1


@dataclass(frozen=True, kw_only=True)
class Circle:
    kind: Literal["circle"] = "circle"
    radius: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Leaves:
    switch: bool = False
    count: int = 0
    rate: float = 0.1
    name: str = "none"
    choice: Literal["left", "right"] = "left"
    power: Literal[1, 2] = 1
    limit: int | None = None
    note: str | None = None
    counts: tuple[int, ...] = ()
    rates: tuple[float, ...] = (0.5,)
    names: tuple[str, ...] = ()
    span: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Config:
    steps: int
    leaves: Leaves = field(default_factory=Leaves)
    shape: Square | Circle = field(default_factory=Square)
    maybe: Square | None = None
    shapes: tuple[Square | Circle, ...] = ()


def numbers():
    return st.floats(allow_nan=False)


def leaves():
    given_types = {
        "rate": numbers(),
        "rates": st.lists(numbers()).map(tuple),
        "span": st.none() | st.lists(numbers()).map(tuple),
    }
    return st.builds(Leaves, **given_types)


def shapes():
    return st.builds(Square) | st.builds(Circle, radius=numbers())


def configs():
    many = st.lists(shapes(), max_size=3).map(tuple)
    return st.builds(Config, leaves=leaves(), shape=shapes(), shapes=many)


@given(configs())
def test_a_config_comes_back_from_json(config):
    assert from_dict(Config, json.loads(json.dumps(to_dict(config)))) == config


def test_what_is_left_out_has_its_default():
    assert from_dict(Config, {"steps": 3}) == Config(steps=3)
    assert from_dict(Config, {"steps": 3, "leaves": {"count": 4}}) == Config(steps=3, leaves=Leaves(count=4))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"step": 3}, "step: no such setting; did you mean 'steps'?"),
        ({"steps": 3, "zzz": 1}, "zzz: no such setting; there are: leaves, maybe, shape, shapes, steps"),
        ({"steps": 3, "leaves": {"cuont": 1}}, "leaves.cuont: no such setting; did you mean 'count'?"),
        ({}, "steps: this setting is missing"),
        ({"steps": "3"}, "steps: expected a whole number, got '3'"),
        ({"steps": True}, "steps: expected a whole number, got True"),
        ({"steps": 3.5}, "steps: expected a whole number, got 3.5"),
        ({"steps": None}, "steps: expected a whole number, got None"),
        ({"steps": 3, "leaves": {"rate": True}}, "leaves.rate: expected a number, got True"),
        ({"steps": 3, "leaves": {"rate": math.nan}}, "leaves.rate: expected a number, got nan"),
        ({"steps": 3, "leaves": {"switch": 1}}, "leaves.switch: expected true or false, got 1"),
        ({"steps": 3, "leaves": {"name": 1}}, "leaves.name: expected a text, got 1"),
        ({"steps": 3, "leaves": {"choice": "up"}}, "leaves.choice: expected 'left' or 'right', got 'up'"),
        ({"steps": 3, "leaves": {"counts": [1, "x"]}}, "leaves.counts[1]: expected a whole number, got 'x'"),
        ({"steps": 3, "leaves": {"names": "ab"}}, "leaves.names: expected a list of a text, got 'ab'"),
        ({"steps": 3, "leaves": 7}, "leaves: expected the settings of Leaves, got 7"),
        ({"steps": 3, "maybe": 7}, "maybe: expected the settings of Square, got 7"),
        ({"steps": 3, "shape": {"side": 1}}, "shape.kind: this setting is missing; there are: circle, square"),
        ({"steps": 3, "shape": {"kind": "cirle"}}, "no shape.kind named 'cirle'; did you mean 'circle'?"),
        ({"steps": 3, "shape": {"kind": "circle", "side": 2}}, "shape.side: no such setting; there are: kind, radius"),
        ({"steps": 3, "shapes": [{"kind": "square", "side": "a"}]}, "shapes[0].side: expected a whole number, got 'a'"),
    ],
)
def test_an_error_names_the_path_and_the_value(values, message):
    with pytest.raises(ValueError) as error:
        from_dict(Config, values)
    assert str(error.value) == message


def test_a_whole_number_may_be_written_as_a_float_and_a_float_as_a_whole_number():
    config = from_dict(Config, {"steps": 3.0, "leaves": {"rate": 2}})
    assert config == Config(steps=3, leaves=Leaves(rate=2.0))
    assert (type(config.steps), type(config.leaves.rate)) == (int, float)


def plain_texts():
    return st.text(string.ascii_letters + string.digits + " =.,{}\"'").map(str.strip)


@given(config=configs(), leaf=leaves(), text=plain_texts(), names=st.lists(plain_texts().filter(bool)))
def test_override_of_every_kind_of_leaf(config, leaf, text, names):
    leaf = replace(leaf, name=text, note=None, names=tuple(names))
    written = {
        "switch": str(leaf.switch),
        "count": str(leaf.count),
        "rate": json.dumps(leaf.rate),
        "name": leaf.name,
        "choice": leaf.choice,
        "power": str(leaf.power),
        "limit": str(leaf.limit),
        "note": "none",
        "counts": ",".join(map(str, leaf.counts)),
        "rates": json.dumps(leaf.rates),
        "names": json.dumps(leaf.names),
        "span": "null" if leaf.span is None else json.dumps(leaf.span),
    }
    changed = override(config, [f"leaves.{name}={value}" for name, value in written.items()])
    assert changed == replace(config, leaves=leaf)


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("leaves.counts=1, 2,3", Leaves(counts=(1, 2, 3))),
        ("leaves.counts=", Leaves(counts=())),
        ("leaves.rates=0.9,1", Leaves(rates=(0.9, 1.0))),
        ("leaves.names=a b,c", Leaves(names=("a b", "c"))),
        ("leaves.name=a=b", Leaves(name="a=b")),
        ("leaves.name=none", Leaves(name="none")),
        ("leaves.note=5", Leaves(note="5")),
        ("leaves.limit=None", Leaves(limit=None)),
        ("leaves.count=1e3", Leaves(count=1000)),
        ("leaves.rate=5e-4", Leaves(rate=5e-4)),
        ("leaves.switch=TRUE", Leaves(switch=True)),
        (" leaves.count = 4 ", Leaves(count=4)),
        ('leaves={"count": 4}', Leaves(count=4)),
    ],
)
def test_override_as_people_type(assignment, expected):
    assert override(Config(steps=1), [assignment]) == Config(steps=1, leaves=expected)


def test_overrides_apply_in_order_and_leave_the_original_alone():
    config = Config(steps=1)
    assert override(config, ["steps=2", "steps=3"]).steps == 3
    assert config == Config(steps=1)


def test_override_may_change_the_kind_of_a_group():
    changed = override(Config(steps=1), ['shape={"kind": "circle"}', "shape.radius=2"])
    assert changed.shape == Circle(radius=2.0)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("steps", "--set steps: write it as name=value, such as train.steps=100"),
        ("steps=many", "steps: expected a whole number, got 'many'"),
        ("steps=", "steps: expected a whole number, got ''"),
        ("stops=3", "stops: no such setting; did you mean 'steps'?"),
        ("leaves.cuont=3", "leaves.cuont: no such setting; did you mean 'count'?"),
        ("leaves.count.x=3", "leaves.count.x: 'x' is inside a setting that has no parts"),
        ("maybe.side=3", "maybe.side: 'side' is inside a setting that has no parts"),
        ("shape=circle", "shape: this is a group of settings; set one of them; there are: kind, side"),
        ("leaves.rate=NaN", "leaves.rate: expected a number, got nan"),
        ("leaves.power=3", "leaves.power: expected 1 or 2, got 3"),
        ("leaves.limit=x", "leaves.limit: expected a whole number, got 'x'"),
        ("leaves.counts=1,x", "leaves.counts[1]: expected a whole number, got 'x'"),
        ("=3", ": no such setting; there are: leaves, maybe, shape, shapes, steps"),
    ],
)
def test_a_wrong_override_is_one_clear_line(assignment, message):
    with pytest.raises(ValueError) as error:
        override(Config(steps=1), [assignment])
    assert str(error.value) == message


def test_lookup():
    table = {"ViT-B-32": 1, "RN50": 2}
    assert lookup(table, "RN50", what="model") == 2
    with pytest.raises(ValueError, match=r"^no model named 'vit-b-3'; did you mean 'ViT-B-32'\?$"):
        lookup(table, "vit-b-3", what="model")
    with pytest.raises(ValueError, match=r"^no model named 'x'; there are: RN50, ViT-B-32$"):
        lookup(table, "x", what="model")


def test_the_first_setting_that_differs_is_named_with_its_place():
    before = flat({"train": {"steps": 1, "seed": 0}, "data": {"shards": ["a"]}})
    assert before == {"train.steps": 1, "train.seed": 0, "data.shards": ["a"]}
    now = {**before, "train.steps": 2, "train.seed": 5}
    assert first_difference(before, dict(before)) is None
    assert first_difference(before, now) == ("train.seed", 0, 5)
    assert first_difference(before, now, free=("train.seed",)) == ("train.steps", 1, 2)
    assert first_difference(before, {**before, "data.new": 1}) == ("data.new", None, 1)
