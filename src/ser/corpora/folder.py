"""A user's own recordings: labels in the user's words, from folders or from a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath, PurePosixPath

import numpy as np
import pandas as pd

from ser.corpora.base import UNKNOWN, UNSPECIFIED
from ser.corpora.segments import SEGMENT, check_segments, read_segments, without_empty
from ser.corpora.words import DROP, fold, skeleton, unknown_words, vocabulary
from ser.errors import CorpusError, UnknownEmotion
from ser.params import FeatureParams

SEXES = {"female": "female", "f": "female", "male": "male", "m": "male", UNKNOWN: UNKNOWN}
#: What may stay empty, and what then stands there.
OPTIONAL = {"sex": UNKNOWN, "intensity": UNSPECIFIED, "sentence": UNKNOWN}
REQUIRED = ("file", "emotion", "speaker")
#: `label` is the user's own word for the emotion. Where recordings hold segments, SEGMENT follows.
COLUMNS = (*REQUIRED, *OPTIONAL, "label")

WAYS_OUT = (
    "Arrange the recordings as EMOTION/SPEAKER/x.wav or SPEAKER/EMOTION/x.wav; or say who speaks "
    "with --speaker-pattern '(?P<speaker>…)'; or give a table (file, emotion, speaker) with --table"
)


def label_recordings(
    files: Sequence[PurePath],
    *,
    table: pd.DataFrame | None = None,
    mapping: Mapping[str, str] | None = None,
    speaker_pattern: str | None = None,
    drop_unlisted: bool = False,
    seconds_of: Callable[[str], float | None] = lambda file: None,
) -> pd.DataFrame:
    """Labels of the utterances, one row each: COLUMNS; dropped utterances have none.

    Where a recording holds segments that are utterances, SEGMENT follow: float64 seconds, NaN for
    an end that is the recording's.

    files : relative to the user's folder.
    table : REQUIRED and, if known, OPTIONAL and SEGMENT columns; without it the folders' names say.
    mapping : the user's words -> canonical emotions or `drop`; goes before SYNONYMS.
    speaker_pattern : a regular expression found in the relative path, with a group `speaker`
        and, if known, groups `sex`, `intensity` and `sentence`.
    drop_unlisted : leave recordings out that the table does not list; else they are an error.
    seconds_of : how long a recording lasts that the table has segments of; None if not known.
    Raises UnknownEmotion for words without an emotion, CorpusError for all that is unclear.
    """
    words = vocabulary(mapping or {})
    if table is None:
        rows = _from_folders(files, words, speaker_pattern)
    elif speaker_pattern is None:
        rows = _from_table(files, table, drop_unlisted, seconds_of)
    else:
        raise CorpusError(
            "Found a table and a speaker pattern; the table names speakers. Omit one."
        )
    unknown = {label for label in rows["label"] if fold(label) not in words}
    if unknown:
        raise unknown_words(unknown)
    rows["emotion"] = [words[fold(label)] for label in rows["label"]]
    rows = rows[rows["emotion"] != DROP]
    if rows.empty:
        raise CorpusError("No recording is left to add: all are dropped. Mend the mapping.")
    _check_one_sex(rows)
    rows = without_empty(rows)
    columns = [*COLUMNS, *(name for name in SEGMENT if name in rows)]
    return rows.sort_values(["file", *columns[len(COLUMNS) :]], ignore_index=True)[columns]


def _from_folders(
    files: Sequence[PurePath], words: Mapping[str, str], speaker_pattern: str | None
) -> pd.DataFrame:
    pattern = _compiled(speaker_pattern)
    rows, nameless = [], []
    for file in files:
        emotions = [part for part in file.parts[:-1] if fold(part) in words]
        if len(emotions) > 1:
            raise CorpusError(
                f"{file} lies in folders of two emotions, {' and '.join(emotions)}; one is "
                f"needed. {WAYS_OUT}."
            )
        if not emotions:
            nameless.append(file)
            continue
        others = [part for part in file.parts[:-1] if part != emotions[0]]
        said = _said(file, pattern) if pattern else _only_speaker(file, others)
        rows.append({"file": file.as_posix(), "label": emotions[0], **said})
    if nameless:
        raise _without_emotion(nameless, files, words)
    return pd.DataFrame(rows, columns=["file", "label", "speaker", *OPTIONAL])


def _only_speaker(file: PurePath, others: Sequence[str]) -> dict[str, str]:
    if len(others) != 1:
        found = f"the folders {', '.join(others)}" if others else "no folder"
        raise CorpusError(
            f"{file} has {found} besides its emotion's; one is needed, the speaker's. {WAYS_OUT}."
        )
    return {"speaker": others[0], **OPTIONAL}


def _compiled(speaker_pattern: str | None) -> re.Pattern[str] | None:
    if speaker_pattern is None:
        return None
    try:
        pattern = re.compile(speaker_pattern)
    except re.error as error:
        raise CorpusError(
            f"The speaker pattern {speaker_pattern!r} is no regular expression ({error}). "
            "Correct it."
        ) from error
    groups = set(pattern.groupindex)
    if "speaker" not in groups or groups - {"speaker", *OPTIONAL}:
        raise CorpusError(
            f"The speaker pattern {speaker_pattern!r} has the groups "
            f"{', '.join(pattern.groupindex) or 'none'}; expected speaker and, if known, "
            f"{', '.join(OPTIONAL)}. Write (?P<speaker>…)."
        )
    return pattern


def _said(file: PurePath, pattern: re.Pattern[str]) -> dict[str, str]:
    found = pattern.search(file.as_posix())
    if found is None or not found["speaker"]:
        raise CorpusError(
            f"The speaker pattern {pattern.pattern!r} finds no speaker in {file}. Mend it."
        )
    said = {name: text for name, text in found.groupdict().items() if text}
    return {**OPTIONAL, **said, "sex": _sex(said.get("sex", UNKNOWN), file)}


def _from_table(
    files: Sequence[PurePath],
    table: pd.DataFrame,
    drop_unlisted: bool,
    seconds_of: Callable[[str], float | None],
) -> pd.DataFrame:
    missing = [column for column in REQUIRED if column not in table.columns]
    if missing:
        raise CorpusError(
            f"The table lacks {', '.join(missing)}; it has {', '.join(map(str, table.columns))}. "
            f"Required are {', '.join(REQUIRED)}; {', '.join((*OPTIONAL, *SEGMENT))} may be there."
        )
    columns = [column for column in (*REQUIRED, *OPTIONAL) if column in table.columns]
    said = table[columns].astype("string").fillna("").apply(lambda column: column.str.strip())
    for column in REQUIRED:
        empty = np.flatnonzero(said[column] == "")
        if empty.size:
            raise CorpusError(
                f"{empty.size} rows of the table have no {column}, first row {empty[0] + 1} "
                "below the header. Fill or remove them."
            )
    said["file"] = [_inside(file) for file in said["file"]]
    said = said.join(read_segments(table))
    _check_same_files(files, said["file"], drop_unlisted)
    window = FeatureParams()
    check_segments(said, seconds_of=seconds_of, least=window.n_fft / window.sr)
    for column, otherwise in OPTIONAL.items():
        said[column] = said[column].replace("", otherwise) if column in said else otherwise
    said["sex"] = [_sex(sex, file) for sex, file in zip(said["sex"], said["file"], strict=True)]
    return said.rename(columns={"emotion": "label"})


def _inside(file: str) -> str:
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts:
        raise CorpusError(f"The table lists {file}; expected a path inside the folder. Correct it.")
    return path.as_posix()


def _check_same_files(
    files: Sequence[PurePath], listed: Iterable[str], drop_unlisted: bool
) -> None:
    here, listed = {file.as_posix() for file in files}, set(listed)
    if absent := sorted(listed - here):
        raise CorpusError(
            f"{len(absent)} files of the table are not there, first {absent[0]}; paths are "
            "relative to the folder, with forward slashes. Correct or remove the rows."
        )
    unlisted = sorted(here - listed)
    if unlisted and not drop_unlisted:
        raise CorpusError(
            f"{len(unlisted)} recordings are not in the table, first {unlisted[0]}. List them, "
            "or leave them out with --drop-unlisted."
        )


def _sex(sex: str, file: PurePath | str) -> str:
    if fold(sex) not in SEXES:
        raise CorpusError(f"{file} has sex {sex!r}; known are {', '.join(SEXES)}. Correct it.")
    return SEXES[fold(sex)]


def _check_one_sex(rows: pd.DataFrame) -> None:
    sexes = rows.groupby("speaker")["sex"].unique()
    mixed = sexes[sexes.map(len) > 1]
    if not mixed.empty:
        raise CorpusError(
            f"Speaker {mixed.index[0]} is {' and '.join(sorted(mixed.iloc[0]))}; one is needed. "
            "Two people need two names."
        )


def _without_emotion(
    nameless: Sequence[PurePath], files: Sequence[PurePath], words: Mapping[str, str]
) -> CorpusError:
    """What to say of files in no emotion's folder: the words, where the layout shows which."""
    levels = {
        level for file in files for level, part in enumerate(file.parts[:-1]) if fold(part) in words
    }
    if len(levels) == 1:
        (level,) = levels
        unknown = {file.parts[level] for file in nameless if level < len(file.parts) - 1}
        if unknown:
            return unknown_words(unknown)
    folders = sorted({part for file in nameless for part in file.parts[:-1]})
    some = ", ".join(folders[:8]) + (", …" if len(folders) > 8 else "")
    return UnknownEmotion(
        f"{nameless[0]} and {len(nameless) - 1} more lie in no folder of a known emotion "
        f"({some or 'no folders at all'}). Map the folders that name one with --mapping "
        f"({skeleton(folders[:2] or ['WORD'])}). {WAYS_OUT}."
    )
