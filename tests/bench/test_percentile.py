"""A percentile is the smallest of the values that so many percent of them do not exceed."""

from bench.load import percentile
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.integers(0, 20), min_size=1).map(sorted), st.integers(1, 100))
def test_it_is_the_smallest_value_that_so_many_do_not_exceed(
    values: list[int], percent: int
) -> None:
    def reached(most: int) -> bool:
        return 100 * sum(value <= most for value in values) >= percent * len(values)

    assert percentile(values, percent) == min(filter(reached, values))
