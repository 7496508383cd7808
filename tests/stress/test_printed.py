"""The stress table as it is printed."""

import pytest
from rich.console import Console

from ser.core.scores.robustness import Gap, Stress
from ser.stress.printed import table_of


@pytest.mark.parametrize(
    ("limit", "passed", "end"),
    [
        (0.075, None, "; gap 0.200, limit 0.075: too few to tell"),
        (0.075, False, "; gap 0.200, limit 0.075: FAIL"),
        (None, None, "; gap 0.200"),
    ],
)
def test_a_gap_ends_with_its_verdict_or_with_nothing(capsys, limit, passed, end):
    gap = Gap("sex", {"female": 0.6, "male": 0.4}, {"female": 2, "male": 2}, 0.2, limit, passed)
    made = Stress((), (gap,), (), 4, 4, None, None, None, 1.0, seed=0)
    Console(width=120).print(table_of(made))
    assert capsys.readouterr().out.rstrip().endswith(end)
