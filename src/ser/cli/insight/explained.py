"""An explanation in the terminal: text of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import fill

from ser.explanation import words
from ser.explanation.attribution.importance import ALL, Importances
from ser.explanation.clip import Explained
from ser.output import one_line, printable
from ser.params import FeatureParams

WIDTH, BAR = 80, 16
#: Groups of functionals and regions of the log-mel that are shown.
GROUPS, REGIONS = 5, 3


def print_explained(
    name: str, explained: Explained, *, features: FeatureParams, to: str | None
) -> None:
    """Print the answer, what moved it and what turns it."""
    _say(f"{one_line(name)}: {words.answered(explained.prediction)}", indent="")
    if explained.prediction.abstention and (far := words.unusual(explained.distances)):
        _say(far)
    question = explained.question
    if question is None:
        return
    _say(words.asked(question, explained.odds))
    if len(explained.shares) > 1:
        _bars((words.member(share), share.odds, "") for share in explained.shares)
    if functionals := explained.functionals:
        _say(
            f"Functionals: average speech {functionals.usual:+.2f}, then what this recording adds:"
        )
        _bars(
            (group.name, group.value, f"{group.strongest} {group.deviation:+.1f} σ")
            for group in functionals.groups[:GROUPS]
        )
    if spectrogram := explained.spectrogram:
        shares = (
            f"{words.region(one)} ({one.value:+.2f})" for one in spectrogram.regions()[:REGIONS]
        )
        _say(f"In the log-mel most at {'; '.join(shares)}.")
    _print_changes(explained, features, to)
    _say(words.LIMITS)


def _print_changes(explained: Explained, features: FeatureParams, to: str | None) -> None:
    found, before = explained.counterfactuals, explained.prediction
    if found is None:
        _say("There is no answer to turn: no change was tried.")
        return
    assert before.emotion is not None
    sought = None if to == before.emotion else to
    if to is not None and sought is None:
        _say(f"The answer is {to} already: changes that turn it into any other were sought.")
    _say(words.resynthesised(found, before))
    for searched in found.searched:
        turns = [words.turned(searched, turn, before.emotion) for turn in searched.turns]
        lines = turns or [words.not_turned(searched, before.emotion, sought, features)]
        for line in [*lines, *words.abstains(searched)]:
            _say(f"{'→' if line in turns else '·'} {line}.", hanging=4)


def print_importances(found: Importances, described: str) -> None:
    _say(f"{described} UAR {found.uar:.3f}, chance {found.chance:.3f}.", indent="")
    _say(
        "By how much the UAR falls where a group is permuted over the utterances (95 % over "
        "speakers):",
        indent="",
    )
    largest = max((row.drop for row in found.rows), default=0.0)
    for kind, title in (("functionals", "functionals"), ("log_mel", "log-mel")):
        for row in (row for row in found.rows if row.kind == kind):
            group = f"all {title}" if row.group == ALL else f"  {row.group}"
            low_high = f"[{row.interval[0]:+.3f}, {row.interval[1]:+.3f}]" if row.interval else ""
            bar = "█" * round(BAR * max(row.drop, 0.0) / largest) if largest > 0 else ""
            print(f"  {group:<22}{row.drop:+.3f}  {low_high:<18}  {bar}".rstrip())


def _bars(rows: Iterable[tuple[str, float, str]]) -> None:
    """Names, values and bars; what is negative is drawn hollow."""
    table = list(rows)
    most = max((abs(value) for _, value, _ in table), default=0.0)
    for name, value, note in table:
        length = round(BAR * abs(value) / most) if most else 0
        bar = ("█" if value > 0 else "░") * length
        print(printable(f"    {name:<18}{value:+7.2f}  {bar:<{BAR}}  {note}").rstrip())


def _say(text: str, *, indent: str = "  ", hanging: int = 2) -> None:
    print(fill(printable(text), WIDTH, initial_indent=indent, subsequent_indent=" " * hanging))
