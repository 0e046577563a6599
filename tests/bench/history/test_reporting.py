"""The table says what was measured, and of everything else that it was not."""

from bench.history.reporting import NOT_MEASURED, Figures, document, table


def test_nothing_is_invented() -> None:
    lines = document(Figures(1_000_000, 2))["lines"]
    assert lines
    assert all(figure == NOT_MEASURED for figure in lines.values())


def test_what_was_asked_is_compared_with_the_small_log() -> None:
    kind = "user ?at="
    figures = Figures(50_000, 2, small={kind: (2.0, 4.0)}, large={kind: (3.0, 5.0)})
    assert "p99 5.0 ms (aim 20); of 10,000 events 2.0, 4.0: x 1.50, 1.25" in table(figures)
