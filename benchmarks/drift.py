"""False alarms on unseen speakers, and drift that is found: telephone, noise, another corpus.

Recordings of a project's test speakers, who are neither in the training nor in the reference, are
answered by its bundle and make rows of the traffic log, as a server logs them. Draws of such rows
are looked at as `ser drift` does. A draw is by speaker: speakers in random order, the clips of one
after those of another until there are enough ("in order"); three speakers with replacement
("three"); or one speaker alone, whose clips are drawn with replacement ("one"). Changed recordings
are drawn in the first way.
Live streams are a speaker's recordings one after the other; a row is what the stream takes for an
utterance.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import page
from ser.bundle import bundle_sha256, load_bundle, load_reference
from ser.core.distortion.bands import telephone
from ser.core.distortion.noises import coloured, mixed
from ser.core.drift.judging import Limits
from ser.core.utterance.waveform import resample
from ser.errors import AudioError
from ser.io.audio.read import load_mono
from ser.io.storage.traffic_files import SCHEMA
from ser.monitoring.drift import Drift, look_at
from ser.monitoring.traffic import Served, row_of, summarise
from ser.params.flow import DriftParams
from ser.params.serving import StreamParams
from ser.predictor import Predictor
from ser.project import BUNDLE, FOLDS
from ser.streaming.events import Measurement
from ser.streaming.stream import Stream

Change = Callable[[np.ndarray, int], np.ndarray]
SEED = 7
STREAMS, OPTIONS = "live streams", StreamParams()
#: Recordings of another corpus, and draws of changed recordings.
MOST_OTHERS, CHANGED_DRAWS = 400, 50


def noisy(y: np.ndarray, sr: int, *, snr_db: float) -> np.ndarray:
    rng = np.random.default_rng(y.size)
    noise = coloured(y.size, sr=sr, db_per_octave=0.0, rng=rng)
    return mixed(y, noise, sr=sr, snr_db=snr_db)


CHANGES: dict[str, Change] = {
    "as recorded": lambda y, _: y,
    "telephone band": lambda y, sr: telephone(y, sr=sr),
    "white noise, 10 dB": partial(noisy, snr_db=10.0),
}


def rows_of(
    predictor: Predictor, files: Sequence[Path], speakers: Sequence[str], change: Change, sha: str
) -> pd.DataFrame:
    """Rows of the traffic log, and `speaker`, of the recordings after the change."""
    now, rows = datetime.now(UTC) - timedelta(hours=1), []
    for place, (file, speaker) in enumerate(zip(files, speakers, strict=True)):
        y, sr = load_mono(file)
        y = change(y, sr)
        try:
            taken = predictor.front_end.take(y, sr=sr)
        except AudioError:
            continue
        (answer,) = predictor.answer([taken])
        features = getattr(taken, "features", None)
        params = predictor.bundle.features
        row = row_of(
            answer,
            summarise(y, sr=sr, features=features, params=params),
            time=now + timedelta(milliseconds=place),
            source="server",
            interface="rest",
            served=Served(sha, 1),
            latency_ms=1.0,
        )
        rows.append({**row, "speaker": speaker})
    return pd.DataFrame(rows, columns=[*SCHEMA.names, "speaker"])


def streamed_rows(
    predictor: Predictor, files: Sequence[Path], speakers: Sequence[str], sha: str
) -> pd.DataFrame:
    """Rows of live streams, one of each speaker."""
    now, rows, sr = datetime.now(UTC) - timedelta(hours=1), [], OPTIONS.sr
    for speaker in dict.fromkeys(speakers):
        stream = Stream(predictor, OPTIONS)
        for file, of in zip(files, speakers, strict=True):
            if of != speaker:
                continue
            y, recorded_at = load_mono(file)
            y = resample(y, sr_in=recorded_at, sr_out=sr)
            for start in range(0, y.size, sr // 10):
                for event in stream.feed(y[start : start + sr // 10]):
                    if isinstance(event, Measurement) and event.summary is not None:
                        row = row_of(
                            event.prediction,
                            event.summary,
                            time=now + timedelta(milliseconds=len(rows)),
                            source="server",
                            interface="stream",
                            served=Served(sha, 1),
                            latency_ms=1.0,
                        )
                        rows.append({**row, "speaker": speaker})
    return pd.DataFrame(rows, columns=[*SCHEMA.names, "speaker"])


def in_order(rows: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    order = rng.permutation(rows["speaker"].unique())
    return pd.concat([_mixed(rows[rows["speaker"] == one], rng) for one in order]).head(n)


def three(rows: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    drawn = rng.choice(rows["speaker"].unique(), 3)
    each = [
        rows[rows["speaker"] == one].sample(-(-n // 3), replace=True, random_state=rng)
        for one in drawn
    ]
    return pd.concat(each).head(n)


def one(rows: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    speaker = rng.choice(rows["speaker"].unique())
    return rows[rows["speaker"] == speaker].sample(n, replace=True, random_state=rng)


def _mixed(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return rows.iloc[rng.permutation(len(rows))]


class Watcher:
    """Looks at draws as `ser drift` does; limits are found once."""

    def __init__(self, project: Path, params: DriftParams) -> None:
        self.predictor = Predictor(load_bundle(project / BUNDLE))
        self.sha, self.params = bundle_sha256(project / BUNDLE), params
        self.reference = load_reference(project / BUNDLE)
        assert self.reference is not None
        self.known: dict[str, Limits] = {}

    def look(self, rows: pd.DataFrame) -> Drift:
        assert self.reference is not None
        found = look_at(
            rows.drop(columns="speaker"),
            self.reference,
            self.params,
            at=datetime.now(UTC),
            version=1,
            bundle_sha256=self.sha,
            known=self.known,
            seed=SEED,
        )
        self.known |= found.limits
        return found

    def alarms(self, draws: Sequence[pd.DataFrame]) -> tuple[int, float, str]:
        """How many draws drift; the median of the largest separation as a share of its limit, and
        what drifted most often."""
        found = [self.look(draw).slices[0] for draw in draws]
        over = [max(finding.over for finding in one.findings) for one in found]
        names = pd.Series([name for one in found for name in one.drifted])
        what = ", ".join(f"{name} {n}" for name, n in names.value_counts().items())
        return sum(bool(one.drifted) for one in found), float(np.median(over)), what


def measured(
    name: str, project: Path, others: Sequence[tuple[str, Path]], draws: int, params: DriftParams
) -> tuple[list[list[object]], str]:
    """Rows of the page, and what was measured."""
    watcher = Watcher(project, params)
    folds = pd.read_parquet(project / FOLDS)
    test = folds[folds["split"] == "test"]
    files, speakers = [project / file for file in test["file"]], list(test["speaker"])
    pools = {
        change: rows_of(watcher.predictor, files, speakers, how, watcher.sha)
        for change, how in CHANGES.items()
    }
    pools[STREAMS] = streamed_rows(watcher.predictor, files, speakers, watcher.sha)
    for other, folder in others:
        found = sorted(
            p for p in folder.rglob("*") if p.suffix.lower() in (".wav", ".flac", ".mp3")
        )
        rng = np.random.default_rng(SEED)
        some = [found[i] for i in rng.permutation(len(found))[:MOST_OTHERS]]
        pools[f"voices of {other}"] = rows_of(
            watcher.predictor, some, ["other"] * len(some), CHANGES["as recorded"], watcher.sha
        )
    rows: list[list[object]] = []
    n = params.clips
    ways = {"in order": in_order, "three": three, "one": one}
    for pool, table in pools.items():
        if len(table) < n:
            rows.append([name, pool, "", 0, "", "", f"{len(table)} utterances alone"])
            continue
        clean = pool in ("as recorded", STREAMS)
        for way, draw in ways.items() if clean else [("in order", in_order)]:
            rng = np.random.default_rng(SEED)
            tried = [draw(table, n, rng) for _ in range(draws if clean else CHANGED_DRAWS)]
            drifted, over, what = watcher.alarms(tried)
            rows.append([name, pool, way, len(tried), drifted, round(over, 2), what])
            print(rows[-1], flush=True)
    limits = next(iter(watcher.known.values()))
    return rows, (
        f"{name}: reference of {len(np.unique(watcher.reference.speaker))} speakers, "
        f"{test['speaker'].nunique()} unseen ones, {watcher.predictor.bundle.model_name}; "
        f"{limits.alarms} of {limits.draws} draws of the reference's own speakers passed a limit, "
        f"which was widened by {limits.widened:.2f}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--project", nargs=2, action="append", required=True, metavar=("NAME", "FOLDER")
    )
    parser.add_argument(
        "--other",
        nargs="+",
        action="append",
        default=[],
        metavar="NAME",
        help="of a project, then pairs NAME FOLDER of other corpora's recordings",
    )
    parser.add_argument("--draws", type=int, default=1000)
    options = parser.parse_args()
    params = DriftParams()
    others = {
        first: list(zip(rest[::2], rest[1::2], strict=True)) for first, *rest in options.other
    }
    rows, about = [], []
    for name, folder in options.project:
        pairs = [(title, Path(path)) for title, path in others.get(name, [])]
        found, said = measured(name, Path(folder), pairs, options.draws, params)
        rows += found
        about.append(said)
    head = ["model of", "recordings", "draw", "draws", "drifted", "median of limit", "by"]
    page.write(
        "drift",
        title="Drift: false alarms, and what is found",
        body=f"""
{" ".join(str(__doc__).split())}

{params.clips} answers a draw, `drift.false_alarms` {params.false_alarms:g}. Median of limit: of the
figure that lies furthest, as a share of its limit.

{chr(10).join(f"- {line}" for line in about)}

{page.table(head, rows)}
""",
    )


if __name__ == "__main__":
    main()
