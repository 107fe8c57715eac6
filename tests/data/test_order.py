from collections import Counter
from itertools import chain, islice, pairwise

import pytest
from hypothesis import given, strategies as st

from fullclip.data.order import Line, draws, num_lanes


def lines():
    """Arguments of a line: it is made in the test, where beartype may draw what it looks at."""
    return st.fixed_dictionaries(
        {
            "shards": st.lists(st.integers(0, 12), min_size=1, max_size=6).filter(any),
            "source": st.integers(0, 2),
            "seed": st.integers(0, 5),
            "lanes": st.integers(1, 9),
            "shuffle_size": st.integers(1, 60),
        }
    )


def places(references):
    return [(reference.shard, reference.group) for reference in references]


def stream(line, lane, taken=0):
    return chain.from_iterable(line.windows(lane, taken))


@given(lines(), st.integers(0, 4))
def test_the_lanes_of_an_epoch_hold_every_sample_once(made, epoch):
    line, sizes = Line(**made), made["shards"]
    found = [r for lane in range(made["lanes"]) for window in line.epoch_windows(lane, epoch) for r in window]
    assert sorted(places(found)) == [(shard, group) for shard, size in enumerate(sizes) for group in range(size)]
    assert sorted(reference.ordinal for reference in found) == list(range(sum(sizes)))
    assert {reference.epoch for reference in found} == {epoch}


@given(lines(), st.integers(0, 6))
def test_lanes_never_drift_apart(made, epoch):
    line, sizes = Line(**made), made["shards"]
    shares = [line.share(lane, epoch) for lane in range(made["lanes"])]
    assert sum(shares) == sum(sizes)
    totals = [sum(line.share(lane, e) for e in range(epoch + 1)) for lane in range(made["lanes"])]
    assert max(totals) - min(totals) <= 1


@given(lines(), st.data())
def test_a_stream_goes_on_from_anywhere_without_what_came_before(made, data):
    line = Line(**made)
    lane = data.draw(st.integers(0, made["lanes"] - 1))
    straight = list(islice(stream(line, lane), 40))
    taken = data.draw(st.integers(0, 39))
    assert list(islice(stream(line, lane, taken), 40 - taken)) == straight[taken:]
    for count, reference in enumerate(straight):
        assert line.epoch_of(lane, count) == reference.epoch


@given(lines())
def test_a_window_is_no_larger_than_the_lane_s_part_of_the_memory(made):
    line = Line(**made)
    for lane in range(made["lanes"]):
        for window in islice(line.windows(lane, 0), 10):
            assert 1 <= len(window) <= max(1, made["shuffle_size"] // made["lanes"])


def test_a_window_s_samples_are_neighbours_where_the_data_are_larger_than_the_memory():
    line = Line([1000] * 10, source=0, seed=0, lanes=4, shuffle_size=80)
    for window in islice(line.windows(2, 0), 1, 50):
        groups = sorted(places(window))
        steps = [after[1] - before[1] for before, after in pairwise(groups) if after[0] == before[0]]
        assert set(steps) <= {1}
        assert len({shard for shard, _ in groups}) <= 2


def test_every_neighbourhood_is_about_equally_likely_where_the_memory_holds_all():
    """Chi-squared of how often two samples of one shard share a lane's window, over 2,000 epochs.

    8 samples in 4 lanes: a sample's one companion is each of 7 others alike; 6 degrees of freedom, 22.5 in 99.9% of cases.
    """
    companions = Counter[int]()
    line = Line([8], source=0, seed=0, lanes=4, shuffle_size=100)
    for epoch in range(2000):
        for lane in range(4):
            pair = [reference.group for window in line.epoch_windows(lane, epoch) for reference in window]
            companions.update(group for group in pair if 0 in pair and group)
    expected = companions.total() / 7
    assert companions.total() == 2000
    assert sum((companions[group] - expected) ** 2 / expected for group in range(1, 8)) < 22.5


def test_epochs_seeds_and_sources_have_their_own_order():
    orders = set()
    for seed, source, epoch in ((0, 0, 0), (0, 0, 1), (1, 0, 0), (0, 1, 0)):
        line = Line([40, 40, 40], source=source, seed=seed, lanes=3, shuffle_size=12)
        orders.add(tuple(places(chain.from_iterable(line.epoch_windows(0, epoch)))))
    assert len(orders) == 4


def test_lanes_end_their_windows_at_different_times():
    line = Line([10_000], source=0, seed=0, lanes=10, shuffle_size=500)
    assert len({len(next(line.windows(lane, 0))) for lane in range(10)}) == 10


def test_chance_belongs_to_the_place():
    references = list(islice(stream(Line([9], source=0, seed=0, lanes=2, shuffle_size=4), 0), 12))
    numbers = [reference.random(0).random() for reference in references]
    assert len(set(numbers)) == 12
    assert [reference.random(0).random() for reference in references] == numbers
    assert references[0].random(1).random() != numbers[0]


@given(
    weights=st.lists(st.floats(0.1, 10), min_size=2, max_size=4),
    lane=st.integers(0, 3),
    taken=st.integers(0, 3000),
)
def test_draws_go_on_from_anywhere(weights, lane, taken):
    straight = list(islice(draws(weights, seed=1, lane=lane, taken=0), taken + 5))
    assert list(islice(draws(weights, seed=1, lane=lane, taken=taken), 5)) == straight[taken:]


def test_draws_follow_the_weights():
    """20,000 draws at 0.7 : 0.2 : 0.1 are within 4.5 standard deviations of a binomial's mean (1 in 100,000)."""
    found = Counter(source for lane in range(4) for source in islice(draws([7.0, 2.0, 1.0], seed=0, lane=lane, taken=0), 5000))
    for source, share in enumerate((0.7, 0.2, 0.1)):
        assert abs(found[source] - 20_000 * share) < 4.5 * (20_000 * share * (1 - share)) ** 0.5
    assert set(islice(draws([3.0], seed=0, lane=0, taken=7), 50)) == {0}


@given(st.integers(1, 3000), st.integers(1, 8))
def test_the_lanes_fit_the_batch_and_the_ranks_or_a_number_that_does_is_named(batch_size, num_ranks):
    try:
        lanes = num_lanes(batch_size, num_ranks=num_ranks)
    except ValueError as error:
        if "data.lanes=" in str(error):
            named = int(str(error).rpartition("=")[2])
            assert num_lanes(batch_size, num_ranks=num_ranks, chosen=named) == named
        else:
            named = int(str(error).split()[-2])
            assert named % num_ranks == 0
    else:
        assert batch_size % lanes == 0
        assert lanes % num_ranks == 0
        assert lanes <= 256


def test_the_number_of_lanes():
    assert num_lanes(32_768, num_ranks=1) == num_lanes(32_768, num_ranks=8) == 256
    assert num_lanes(12, num_ranks=3) == 12
    assert num_lanes(257, num_ranks=1) == 1
    assert num_lanes(24, num_ranks=2, chosen=6) == 6
    with pytest.raises(ValueError, match=r"data\.lanes = 256: .* 3 processes; set data\.lanes=192$"):
        num_lanes(3072, num_ranks=3)
    with pytest.raises(ValueError, match=r"^train\.batch_size = 10 cannot be shared by 4 processes: 8 can$"):
        num_lanes(10, num_ranks=4)
