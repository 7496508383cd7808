"""A watch of the platform: what becomes of models good, bad, equal and damaged, and who is told.

In a clone of the last commit, with servers, worker and deployment as `ser up` starts them, and a
web server of its own that `ser notify add webhook` names. Models are trained on speech of the
embedded corpus, taken in as a corpus with a table of labels; the bad one is trained on a table
whose labels are shuffled among each training speaker's recordings. Takes about twenty minutes.
"""

from __future__ import annotations

import argparse
import signal
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import page
from benchmarks.watch.place import CLIPS, QUIET_SECONDS, Act, Place
from flows.processes import note
from flows.processes.server import free_port
from ser.core.utterance.tables import check_folds
from ser.io.storage.tables import read_table
from ser.io.web.quiet import set_quiet
from ser.project import FOLDS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speakers", type=int, default=14, help="default: 14")
    parser.add_argument("--sentences", type=int, default=4, help="default: 4")
    options = parser.parse_args()
    set_quiet()
    # A plain `kill` must leave no server behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="ser-watch-") as folder:
        place = Place(Path(folder))
        try:
            place.prepare(options.speakers, options.sentences)
            place.ser("up", *(f"--{name}-port={free_port()}" for name in ("mlflow", "prefect")))
            place.ser("notify", "add", "webhook", place.hook)
            watch(place)
        finally:
            place.ser("down")
        by_hand_without_server(place)
    rows = [event.cells() for event in place.events]
    faults = sum(bool(event.faults) for event in place.events)
    body = f"""
{options.speakers} speakers, {options.sentences} sentences, six emotions; model lda. Each line is
one act, then one run of the deployment or one command. *Told*: what came at the receiver until
{QUIET_SECONDS:.0f} s after the last of it.

{page.table(Act.HEADER, rows)}

{faults} lines went otherwise than expected. Answers were compared {len(place.compared)} times, with
those of the same model before, on {CLIPS} clips: {sum(place.compared)} times all bits of the stored
bundle's posteriors and all digits of the running server's were equal.
"""
    page.write(
        "watch", title="A watch: models good, bad, equal and damaged, and who is told", body=body
    )
    raise SystemExit(f"{faults} faults" if faults else 0)


def watch(place: Place) -> None:
    """All that is done while the platform runs."""
    promoted, refused, rolled_back = "model.promoted", "model.refused", "model.rolled-back"
    true = place.labels

    place.set(gate__max_megabytes=0.001)
    place.act(
        "a first model, beyond a limit", place.tick, rows=["kept v1"], champion=None, told=[refused]
    )
    place.act("nothing changed", place.tick, rows=[], champion=None, told=[])
    place.set(gate__max_megabytes=2000.0)
    place.act(
        "another limit, the same model",
        place.tick,
        rows=["promoted v1"],
        champion=1,
        told=[promoted],
    )
    first = place.answers(1)
    place.act("nothing changed", place.tick, rows=[], champion=1, told=[])
    place.take_in(shuffled(true, test_speakers(place.root), np.random.default_rng(7)))
    place.act("training labels shuffled", place.tick, rows=["kept v2"], champion=1, told=[refused])
    place.take_in(true)
    place.set(calibrate__coverage=0.8)
    place.act(
        "another bundle, equal on test", place.tick, rows=["kept v3"], champion=1, told=[refused]
    )
    place.set(model__lda__select=None)
    place.act("all functionals", place.tick, rows=["promoted v4"], champion=4, told=[promoted])
    better = place.answers(4)
    place.act(
        "`ser roll-back`",
        lambda: place.ser("roll-back", "--yes"),
        rows=["rolled_back v1"],
        champion=1,
        told=[rolled_back],
    )
    place.compare("the first model's", first, 1)
    place.act(
        "`ser promote 4`",
        lambda: place.ser("promote", "4"),
        rows=["promoted v4"],
        champion=4,
        told=[promoted],
    )
    place.compare("version 4's", better, 4)
    place.act("nothing changed", place.tick, rows=[], champion=4, told=[])

    place.damage("flip")
    place.set(model__lda__shrinkage=0.5)
    place.act(
        "a byte of the champion flipped, and a new model",
        place.tick,
        rows=["rolled_back v1", "promoted v5"],
        champion=5,
        told=[rolled_back, promoted],
    )
    place.set(calibrate__coverage=0.85)
    place.act(
        "another bundle, equal on test", place.tick, rows=["kept v6"], champion=5, told=[refused]
    )
    place.damage("delete")
    place.act(
        "the champion's weights deleted",
        place.tick,
        rows=["rolled_back v1"],
        champion=1,
        told=[rolled_back],
    )
    place.compare("the first model's", first, 1)
    place.damage("delete")
    place.set(calibrate__coverage=0.8, model__lda__select=5, model__lda__shrinkage=0.7)
    place.set(calibrate__coverage=0.9)
    place.act(
        "its weights deleted, the same model made again",
        place.tick,
        rows=["promoted v7"],
        champion=7,
        told=[promoted],
    )
    place.compare("the first model's", first, 7)
    place.set(model__lda__shrinkage=-1.0)
    place.act(
        "a parameter that is refused", place.tick, rows=[], champion=7, told=["retrain failed"]
    )


def by_hand_without_server(place: Place) -> None:
    """Commands after `ser down`: they must neither fail nor start a server."""
    place.act(
        "`ser promote 3` without servers",
        lambda: place.ser("promote", "3"),
        rows=["promoted v3"],
        champion=3,
        told=[],
    )
    if note.running(place.root):
        place.events[-1].faults.append("a server was started")


def test_speakers(root: Path) -> set[str]:
    folds = read_table(root / FOLDS, check_folds)
    return {one.rpartition("/")[2] for one in folds.loc[folds["split"] == "test", "speaker"]}


def shuffled(labels: pd.DataFrame, spared: set[str], rng: np.random.Generator) -> pd.DataFrame:
    """The table with emotions shuffled among each speaker's recordings, but of those spared."""
    moved = labels.groupby("speaker")["emotion"].transform(lambda own: rng.permutation(own))
    return labels.assign(emotion=labels["emotion"].where(labels["speaker"].isin(spared), moved))


if __name__ == "__main__":
    main()
