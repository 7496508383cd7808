"""The suite from recordings to its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits

from ser.core.scores.robustness import LeftOut, Stress, measure
from ser.errors import SerError, TableError
from ser.params import StressParams
from ser.predictor import Predictor
from ser.stress.conditions import Condition, conditions
from ser.stress.sampling import even_sample
from ser.stress.sounds import Sounds, clips_of, image_source_rooms, noises_in, responses_in
from ser.stress.suite import CLEAN, answer_all


@dataclass(frozen=True)
class Folders:
    """A user's own noises and impulse responses; None: only what is made here."""

    noise: Path | None = None
    rir: Path | None = None


def stress(
    predictor: Predictor,
    root: Path,
    table: pd.DataFrame,
    params: StressParams,
    *,
    seed: int,
    limit: int | None = None,
    folders: Folders = Folders(),
) -> Stress:
    """The stress table of a predictor on the utterances of a manifest, whose files lie in `root`.

    table : emotion "" in all rows: without labels, where only unchanged answers are counted.
    limit : of the utterances, even over speakers and emotions; babble has the voices of all.
    Raises AudioError where a recording cannot be read, TableError where there is none.
    """
    if table.empty:
        raise TableError("No utterance is left to change; name other recordings.")
    chosen = even_sample(table, limit, seed=seed)
    wanted = params.families
    responses, lack = {}, ""
    if "room" in wanted:
        try:
            responses = image_source_rooms()
        except SerError as error:
            lack = str(error)
    sounds = Sounds(
        clips=clips_of(root, table) if "noise" in wanted else (),
        noises=noises_in(folders.noise) if folders.noise else (),
        responses=responses,
        folder_responses=responses_in(folders.rir) if folders.rir else (),
    )
    rows = [row for row in conditions(sounds, room_lack=lack) if row.family in wanted]
    made = [row for row in rows if not row.lacks]
    # A second thread gains nothing, and is in the way of the processes that extract.
    with threadpool_limits(None if predictor.bundle.encoder else 1):
        answers = answer_all(predictor, root, chosen, made, sounds, seed=seed)
    return measure(
        answers,
        {row.name: row.family for row in made},
        clean=CLEAN,
        params=params,
        seed=seed,
        left_out=_left_out(rows),
    )


def _left_out(rows: Sequence[Condition]) -> list[LeftOut]:
    return [LeftOut(row.family, row.name, row.lacks) for row in rows if row.lacks]
