"""What every corpus declares: its facts, where it is published, how its files become rows."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from ser.core.utterance.intensity import UNSPECIFIED
from ser.core.utterance.segments import Segment
from ser.errors import CorpusError, DoubledRecordings, UnknownEmotion

#: Codes that an error lists; of more, the first and the last.
MOST_LISTED = 12
#: Files with problems that an error names.
MOST_PROBLEMS = 5


@dataclass(frozen=True)
class Labels:
    """A corpus's labels of one utterance; emotion is canonical, sex female, male or unknown.

    start, end : seconds, where the utterance is a segment of its recording; None: to the end.
    """

    speaker: str
    sex: str
    emotion: str
    sentence: str
    intensity: str = UNSPECIFIED
    start: float = 0.0
    end: float | None = None

    @property
    def segment(self) -> Segment:
        return Segment(self.start, self.end)


#: Labels by recording; several where segments of it are utterances of their own.
Labelled = Mapping[PurePath, Labels | tuple[Labels, ...]]


@dataclass(frozen=True)
class Archive:
    """Published as one ZIP or TAR file; `size` in bytes, None where none is published."""

    url: str
    size: int | None = None
    md5: str | None = None


@dataclass(frozen=True)
class LfsRepository:
    """Published as Git LFS objects in `folder` of a GitHub repository `owner/name`."""

    repository: str
    branch: str
    folder: str
    host: str = "https://codeload.github.com"
    media: str = "https://media.githubusercontent.com/media"


@dataclass(frozen=True)
class Dataverse:
    """Published file by file on a Dataverse server, which lists their MD5."""

    server: str
    doi: str


@dataclass(frozen=True)
class Form:
    """Given out on request only; the instructions name each step."""

    instructions: str


Source = Archive | LfsRepository | Dataverse | Form
#: (folder, recordings relative to it) -> labels of those that the corpus labels.
Labeller = Callable[[Path, Sequence[PurePath]], Labelled]


@dataclass(frozen=True)
class Corpus:
    """A corpus of emotional speech.

    codes : the corpus's own emotion codes -> canonical emotions.
    label : labels of the recordings; raises CorpusError where a name is not of this corpus,
        UnknownEmotion where a code is unknown. A recording that it leaves out has no label
        by the corpus's own rules (IEMOCAP: no majority).
    belongs : which files (relative paths) are the corpus's recordings.
    labelling : glob patterns of the files, other than recordings, that `label` reads.
    people : whose speakers they are. Corpora of one name here share their speakers
        (RAVDESS's speech and song), so that nobody stands in two splits.
    protocols : those that the literature uses, the first one recommended.
    digest : `recordings_digest` of the corpus as published; None where it is not known.
    known_bad : published recordings that are unfit for training, by file name without suffix, and
        why. They are left out of the manifest; their bytes are verified as all others.
    """

    name: str
    title: str
    licence: str
    citation: str
    homepage: str
    languages: tuple[str, ...]
    speakers: int
    utterances: int
    codes: Mapping[str, str]
    protocols: tuple[str, ...]
    label: Labeller
    source: Source | None = None
    people: str = ""
    digest: str | None = None
    belongs: Callable[[PurePath], bool] = lambda path: True
    labelling: tuple[str, ...] = ()
    known_bad: Mapping[str, str] = field(default_factory=dict)


def utterances(labelled: Labelled) -> Iterator[tuple[PurePath, tuple[Labels, ...]]]:
    """The labels of each recording's utterances."""
    for file, labels in labelled.items():
        yield file, labels if isinstance(labels, tuple) else (labels,)


def by_name(
    parse: Callable[[PurePath], Labels],
    identity: Callable[[PurePath], str] = lambda file: file.stem,
) -> Labeller:
    """A labeller for a corpus whose file names hold all labels.

    identity : of two files with one identity, one is a copy: a CorpusError.
    """

    def label(folder: Path, files: Sequence[PurePath]) -> dict[PurePath, Labels]:
        labels, problems = {}, {}
        for file in files:
            try:
                labels[file] = parse(file)
            except CorpusError as error:
                problems[file] = error
        if problems:
            raise several(problems)
        check_once(files, identity)
        return labels

    return label


def check_once(
    files: Iterable[PurePath], identity: Callable[[PurePath], str] = lambda file: file.stem
) -> None:
    """Raise DoubledRecordings where two files have one identity: mirrors hold some corpora twice.

    The first of each pair lies in the fewest folders.
    """
    first: dict[str, PurePath] = {}
    pairs = [
        (first[key], file)
        for file in sorted(files, key=lambda file: (len(file.parts), str(file)))
        if first.setdefault(key := identity(file), file) is not file
    ]
    if pairs:
        raise DoubledRecordings(pairs)


def several(problems: Mapping[PurePath, CorpusError]) -> CorpusError:
    """The first of the problems, with the number of all, and the files that have the others.

    >>> one, other = PurePath("a.wav"), PurePath("b.wav")
    >>> str(several({one: CorpusError("a.wav is long."), other: CorpusError("b.wav is short.")}))
    '2 problems; first: a.wav is long. Others: b.wav.'
    """
    first, *others = problems
    error = problems[first]
    if not others:
        return error
    named = ", ".join(file.as_posix() for file in others[: MOST_PROBLEMS - 1])
    rest = len(problems) - MOST_PROBLEMS
    more = f" and {rest} more" if rest > 0 else ""
    return type(error)(f"{len(problems)} problems; first: {error} Others: {named}{more}.")


@dataclass(frozen=True)
class Names:
    """How a corpus names its recordings.

    pattern : of a stem, a group for each part of it. example : a file's name.
    codes : part -> the codes that it may have; of emotions, with what they stand for.
    stem : a file's name without suffix as it should be. Two files of one stem are copies.
    """

    corpus: str
    pattern: re.Pattern[str]
    example: str
    codes: Mapping[str, Collection[str]] = field(default_factory=dict)
    stem: Callable[[PurePath], str] = lambda file: file.stem

    def parts(self, path: PurePath) -> re.Match[str]:
        """The parts of a file's name; CorpusError unless it fits and its codes are known."""
        name = self.pattern.fullmatch(self.stem(path))
        if name is None:
            raise CorpusError(
                f"{path} is not a name of {self.corpus}; expected one such as {self.example}. "
                "Remove the file, or choose another corpus name."
            )
        for part, known in self.codes.items():
            if name[part] not in known:
                raise unknown_code(path, part, name[part], self.corpus, known)
        return name


def unknown_code(
    path: PurePath, part: str, code: str, corpus: str, known: Collection[str]
) -> CorpusError:
    """The error of a code that is not among the known ones; UnknownEmotion of an emotion's."""
    what = part.replace("_", " ")
    if isinstance(known, Mapping) and part == "emotion":
        what = "emotion code"
        known = [f"{code} {emotion}" for code, emotion in known.items()]
    names = list(known)
    listed = ", ".join(names) if len(names) <= MOST_LISTED else f"{names[0]} to {names[-1]}"
    error = UnknownEmotion if part == "emotion" else CorpusError
    return error(f"{path} has {what} {code}; {corpus} defines {listed}. Rename or remove it.")


def recordings_digest(sha256_of: Iterable[tuple[str, str]]) -> str:
    """One hash of (file name, SHA-256) pairs: the same recordings in any folders, any order."""
    lines = sorted(f"{sha256}  {PurePath(file).name}" for file, sha256 in sha256_of)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
