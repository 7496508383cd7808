"""A user's own recordings: labels in the user's words, from folders or from a table."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath, PurePosixPath

import numpy as np
import pandas as pd

from ser.core.utterance.intensity import UNSPECIFIED
from ser.core.utterance.names import clean, doubtful, is_fit, spelling_key
from ser.core.utterance.tables import UNKNOWN, is_known
from ser.corpora.base import several
from ser.corpora.own import words
from ser.corpora.own.segments import SEGMENT, check_segments, read_segments
from ser.errors import CorpusError, UnknownEmotion
from ser.output import count_of
from ser.params import FeatureParams

#: What may stay empty, and what then stands there.
OPTIONAL = {"sex": UNKNOWN, "intensity": UNSPECIFIED, "sentence": UNKNOWN}
REQUIRED = ("file", "emotion", "speaker")
#: `label` is the user's own word for the emotion.
COLUMNS = (*REQUIRED, *OPTIONAL, "label")
#: Columns that hold a person's own words.
WRITTEN = ("speaker", *OPTIONAL, "label")
#: Named groups that a pattern may have.
GROUPS = ("emotion", "speaker", *OPTIONAL)

WAYS_OUT = (
    "Arrange the recordings as EMOTION/SPEAKER/x.wav or SPEAKER/EMOTION/x.wav; or describe their "
    "names with --pattern '(?P<speaker>…)_(?P<emotion>…)'; or give a table (file, emotion, "
    "speaker) with --table"
)


def label_recordings(
    files: Sequence[PurePath],
    *,
    table: pd.DataFrame | None = None,
    mapping: Mapping[str, str] | None = None,
    speakers: Mapping[str, str] | None = None,
    sexes: Mapping[str, str] | None = None,
    pattern: str | None = None,
    drop_unlisted: bool = False,
    seconds_of: Callable[[str], float] = lambda file: np.inf,
) -> pd.DataFrame:
    """Labels of the utterances, one row each: COLUMNS and SEGMENT; dropped utterances have none.

    files : relative to the user's folder.
    table : REQUIRED and, if known, OPTIONAL and TIMES columns; None: folders' names are the labels.
    mapping : the user's words -> canonical emotions or `drop`; goes before SYNONYMS.
    speakers : a speaker as written -> as meant; sexes : the user's words -> female or male.
    pattern : a regular expression found in the relative path; its named groups, some of GROUPS,
        stand for what the table or the folders lack.
    drop_unlisted : leave recordings out that the table does not list; else they are an error.
    seconds_of : duration of a recording that the table has segments of, infinite if not known.
    Raises UnknownEmotion for words without an emotion, CorpusError for whatever is unclear.
    """
    emotions = words.vocabulary(mapping or {})
    groups = _compiled(pattern)
    if table is None:
        rows = _from_paths(files, emotions, groups)
    else:
        table = _with_groups(table, groups) if groups else table
        rows = _from_table(files, table, drop_unlisted, seconds_of)
    rows = _written(rows)
    unknown = {label for label in rows["label"] if spelling_key(label) not in emotions}
    if unknown:
        raise words.unknown_words(unknown)
    rows["emotion"] = [emotions[spelling_key(label)] for label in rows["label"]]
    rows = rows[rows["emotion"] != words.DROP]
    if rows.empty:
        raise CorpusError("No recording is left to add: all are dropped. Mend the mapping.")
    rows["sex"] = _sexes(list(rows["sex"]), sexes or {})
    rows["speaker"] = [(speakers or {}).get(speaker, speaker) for speaker in rows["speaker"]]
    check_speakers(rows["speaker"])
    for column in ("intensity", "sentence"):
        rows[column] = one_spelling(rows[column])
    rows["sex"] = _one_sex(rows)
    return rows.sort_values(["file", *SEGMENT], ignore_index=True)[[*COLUMNS, *SEGMENT]]


def check_speakers(speakers: Iterable[str], where: str = "") -> None:
    """Raise CorpusError where two speakers differ by spelling alone.

    One person under two names would be in train and in test, and every score too good.
    where : begins the error, and names whose speakers they are.
    """
    if pairs := doubtful(speakers):
        raise words.two_or_one(pairs, where)


def one_spelling(values: Iterable[str], known: Iterable[str] = ()) -> list[str]:
    """The values, each by the first of its spellings; `known` ones go first."""
    values = list(values)
    keys = {value: spelling_key(value) for value in [*known, *values]}
    first: dict[str, str] = {}
    for value, key in keys.items():
        first.setdefault(key, value)
    return [first[keys[value]] for value in values]


def _written(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows without invisible characters in WRITTEN; raises CorpusError for control characters."""
    rows = rows.copy()
    for column in WRITTEN:
        cleaned = {value: clean(value) for value in rows[column].unique()}
        if wrong := [value for value in cleaned.values() if not is_fit(value)]:
            raise CorpusError(
                f"{len(wrong)} values of {column} hold control characters or broken Unicode, "
                f"first {wrong[0]!a}. Write them in plain text."
            )
        rows[column] = [cleaned[value] for value in rows[column]]
    return rows


def _with_groups(table: pd.DataFrame, pattern: re.Pattern[str]) -> pd.DataFrame:
    """The table with what the pattern finds in each of its files."""
    if twice := sorted(set(pattern.groupindex) & set(table.columns)):
        raise CorpusError(
            f"Both the table and the pattern name the {twice[0]} of a recording; one is needed. "
            "Leave the group out, or take the column out of the table."
        )
    said = _searched([PurePosixPath(file) for file in table["file"]], pattern)
    return table.assign(
        **{group: [found.get(group, "") for found in said] for group in pattern.groupindex}
    )


def _from_paths(
    files: Sequence[PurePath], known: Mapping[str, str], pattern: re.Pattern[str] | None
) -> pd.DataFrame:
    rows, nameless = [], []
    problems: dict[PurePath, CorpusError] = {}
    found: Sequence[dict[str, str]] = _searched(files, pattern) if pattern else [{}] * len(files)
    for file, said in zip(files, found, strict=True):
        folders = [part for part in file.parts[:-1] if spelling_key(part) in known]
        emotions = [said["emotion"]] if "emotion" in said else folders
        others = [part for part in file.parts[:-1] if part not in folders[:1]]
        if not emotions:
            nameless.append(file)
        elif len(emotions) > 1:
            two = " and ".join(emotions)
            problems[file] = CorpusError(
                f"{file} lies in folders of two emotions, {two}; one is needed. {WAYS_OUT}."
            )
        elif "speaker" not in said and len(others) != 1:
            folder = f"the folders {', '.join(others)}" if others else "no folder"
            problems[file] = CorpusError(
                f"{file} has {folder} besides its emotion's, for the speaker; one is needed. "
                f"{WAYS_OUT}."
            )
        else:
            row = {**OPTIONAL, "speaker": "".join(others[:1]), **said}
            rows.append({**row, "file": file.as_posix(), "label": emotions[0]})
    if nameless:
        raise _without_emotion(nameless, files, known)
    if problems:
        raise several(problems)
    table = pd.DataFrame(rows, columns=["file", "label", "speaker", *OPTIONAL])
    return table.join(read_segments(table))


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        compiled = re.compile(unicodedata.normalize("NFC", pattern))
    except (re.error, RecursionError, OverflowError) as error:
        raise CorpusError(
            f"The pattern {pattern!r} is no regular expression ({error}). Correct it."
        ) from error
    if not compiled.groupindex or set(compiled.groupindex) - set(GROUPS):
        raise CorpusError(
            f"The pattern {pattern!r} has the groups {', '.join(compiled.groupindex) or 'none'}; "
            f"expected some of {', '.join(GROUPS)}. Write (?P<speaker>…)."
        )
    return compiled


def _searched(files: Sequence[PurePath], pattern: re.Pattern[str]) -> list[dict[str, str]]:
    """What the pattern finds in each path, group -> text; OPTIONAL groups may find nothing."""
    result: list[dict[str, str]] = []
    problems: dict[PurePath, CorpusError] = {}
    needed = [group for group in ("speaker", "emotion") if group in pattern.groupindex]
    for file in files:
        found = pattern.search(unicodedata.normalize("NFC", file.as_posix()))
        said = {group: text for group, text in found.groupdict().items() if text} if found else {}
        lacks = [group for group in needed if not said.get(group, "").strip()]
        if found is None or lacks:
            what = " and no ".join(lacks or pattern.groupindex)
            problems[file] = CorpusError(
                f"The pattern {pattern.pattern!r} finds no {what} in {file}. Mend it."
            )
        result.append(said)
    if problems:
        raise several(problems)
    return result


def _from_table(
    files: Sequence[PurePath],
    table: pd.DataFrame,
    drop_unlisted: bool,
    seconds_of: Callable[[str], float],
) -> pd.DataFrame:
    columns = [column for column in (*REQUIRED, *OPTIONAL) if column in table.columns]
    said = table[columns].astype("string").fillna("").apply(lambda column: column.str.strip())
    for column in REQUIRED:
        empty = np.flatnonzero(said[column] == "")
        if empty.size:
            raise CorpusError(
                f"{empty.size} rows of the table have no {column}, first "
                f"{_place(table, int(empty[0]))}. Fill or remove them."
            )
    said["file"] = [_inside(file) for file in said["file"]]
    said = said.join(read_segments(table))
    _check_same_files(files, said["file"], drop_unlisted)
    window = FeatureParams()
    check_segments(said, seconds_of=seconds_of, least=window.n_fft / window.sr)
    for column, otherwise in OPTIONAL.items():
        if column not in said:
            said[column] = otherwise
        elif column != "sex":
            # Of a sex, a mapping may explain `-` or `?` first.
            said[column] = [
                otherwise if spelling_key(word) in words.NOTHING else word for word in said[column]
            ]
    return said.rename(columns={"emotion": "label"})


def _place(table: pd.DataFrame, row: int) -> str:
    """Where a row stands in the user's file."""
    if table.index.name == "line":
        return f"line {table.index[row]}"
    return f"row {row + 1} below the header"


def _inside(file: str) -> str:
    path = PurePosixPath(file)
    if ".." in path.parts:
        raise CorpusError(f"The table lists {file}; expected a path inside the folder. Correct it.")
    return path.as_posix()


def _check_same_files(
    files: Sequence[PurePath], listed: Iterable[str], drop_unlisted: bool
) -> None:
    here, listed = {file.as_posix() for file in files}, set(listed)
    if absent := sorted(listed - here):
        raise CorpusError(
            f"The table names {count_of(len(absent), 'file')} that the folder lacks, first "
            f"{absent[0]}; paths are relative to the folder, with forward slashes. Correct or "
            "remove the rows."
        )
    unlisted = sorted(here - listed)
    if unlisted and not drop_unlisted:
        raise CorpusError(
            f"{len(unlisted)} recordings are not in the table, first {unlisted[0]}. List them, "
            "or leave them out with --drop-unlisted."
        )


def _sexes(said: Sequence[str], mapping: Mapping[str, str]) -> list[str]:
    known = {spelling_key(word): sex for word, sex in {**words.SEXES, **mapping}.items()}
    keys = [spelling_key(word) for word in said]
    if unknown := {word for word, key in zip(said, keys, strict=True) if key not in known}:
        raise words.unknown_sexes(unknown)
    return [known[key] for key in keys]


def _one_sex(rows: pd.DataFrame) -> pd.Series:
    """The sex of each row: its speaker's, where any row of that speaker names it."""
    sexes = rows[is_known(rows["sex"])].groupby("speaker")["sex"].unique()
    mixed = sexes[sexes.map(len) > 1]
    if not mixed.empty:
        raise CorpusError(
            f"Speaker {mixed.index[0]} is {' and '.join(sorted(mixed.iloc[0]))}; one is needed. "
            "Two people need two names."
        )
    return rows["speaker"].map(sexes.str[0]).fillna(rows["sex"])


def _without_emotion(
    nameless: Sequence[PurePath], files: Sequence[PurePath], known: Mapping[str, str]
) -> CorpusError:
    """The error for files in no emotion's folder; it names the words if the layout shows them."""
    parts = [(level, part) for file in files for level, part in enumerate(file.parts[:-1])]
    levels = {level for level, part in parts if spelling_key(part) in known}
    if len(levels) == 1:
        (level,) = levels
        unknown = {file.parts[level] for file in nameless if level < len(file.parts) - 1}
        if unknown:
            return words.unknown_words(unknown)
    folders = sorted({part for file in nameless for part in file.parts[:-1]})
    some = ", ".join(folders[:8]) + (", …" if len(folders) > 8 else "")
    return UnknownEmotion(
        f"{nameless[0]} and {len(nameless) - 1} more lie in no folder of a known emotion "
        f"({some or 'no folders at all'}). Map the folders that name one with --mapping "
        f"({words.skeleton(folders[:2] or ['WORD'])}). {WAYS_OUT}."
    )
