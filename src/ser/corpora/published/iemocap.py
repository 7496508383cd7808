"""IEMOCAP, the Interactive Emotional Dyadic Motion Capture database: its utterances."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePath

from ser.corpora.base import Corpus, Form, Labels, Names, check_once, unknown_code
from ser.errors import CorpusError

EMOTION_CODES = {
    "neu": "neutral",
    "hap": "happiness",
    "ang": "anger",
    "sad": "sadness",
    "exc": "excitement",
    "fru": "frustration",
    "fea": "fear",
    "sur": "surprise",
    "dis": "disgust",
}
#: No majority among the evaluators, or one for an emotion outside their list.
UNLABELLED = ("xxx", "oth")
#: The majority's emotions; subfolders hold each evaluator's.
EVALUATIONS = "**/dialog/EmoEvaluation/*.txt"
SEXES = {"F": "female", "M": "male"}

NAMES = Names(
    "IEMOCAP",
    re.compile(
        r"(?P<session>Ses0[1-5])[FM]_(?P<dialogue>(?:impro\d\d|script\d\d_\d)[a-z]?)"
        r"_(?P<speaker>[FM])(?:\d{3}|(?P<unevaluated>XX\d+))"
    ),
    example="Ses01F_impro01_F000.wav",
)
_EVALUATION = re.compile(r"\[[\d.]+ - [\d.]+\]\t(?P<turn>\S+)\t(?P<code>\w+)\t\[.+\]")


def label(folder: Path, files: Sequence[PurePath]) -> dict[PurePath, Labels]:
    """Labels of the utterances whose evaluators agreed on an emotion; the others are left out.

    Raises CorpusError where a name is foreign, or a recording has no evaluation under `folder`.
    """
    names = {file: NAMES.parts(file) for file in files}
    check_once(files)
    codes = evaluations(folder)
    labels = {}
    for file, name in names.items():
        code = codes.get(file.stem)
        if code is None and not name["unevaluated"]:
            raise CorpusError(
                f"{file} is in no dialog/EmoEvaluation/*.txt; each utterance is evaluated there. "
                "Add the whole IEMOCAP_full_release, or remove the file."
            )
        # Turns numbered XX were cut out, but never evaluated.
        if code is None or code in UNLABELLED:
            continue
        if code not in EMOTION_CODES:
            raise unknown_code(file, "emotion", code, "IEMOCAP", EMOTION_CODES)
        labels[file] = Labels(
            # The name's first sex is of the one who wears the markers, the second of who speaks.
            speaker=name["session"] + name["speaker"],
            sex=SEXES[name["speaker"]],
            emotion=EMOTION_CODES[code],
            sentence=name["dialogue"],
        )
    return labels


def evaluations(folder: Path) -> dict[str, str]:
    """Turn -> emotion code, from all dialogues under `folder`."""
    codes: dict[str, str] = {}
    for path in sorted(folder.glob(EVALUATIONS)):
        # macOS left a `._x.txt` beside each file of the published archive.
        if path.name.startswith(".") or not path.is_file():
            continue
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if not line.startswith("["):
                continue
            found = _EVALUATION.fullmatch(line.rstrip())
            if found is None:
                raise CorpusError(
                    f"{path.relative_to(folder)} holds {line!r}; expected a line such as "
                    "`[6.29 - 8.23]<tab>Ses01F_impro01_F000<tab>neu<tab>[2.5, 2.5, 2.5]`. "
                    "Copy the file again from the release."
                )
            if codes.setdefault(found["turn"], found["code"]) != found["code"]:
                raise CorpusError(
                    f"{path.relative_to(folder)} labels {found['turn']} {found['code']}, another "
                    f"file {codes[found['turn']]}. Keep one copy of the release."
                )
    return codes


def belongs(path: PurePath) -> bool:
    """True for utterances, in sentences/wav; dialog/wav holds whole dialogues."""
    return ("sentences", "wav") in zip(path.parts, path.parts[1:], strict=False)


IEMOCAP = Corpus(
    name="iemocap",
    title="Interactive Emotional Dyadic Motion Capture database",
    licence="for research, by agreement with USC",
    citation="Busso C, Bulut M, Lee C-C, Kazemzadeh A, Mower E, Kim S, Chang JN, Lee S, "
    "Narayanan SS (2008). Language Resources and Evaluation 42: 335-359.",
    homepage="https://sail.usc.edu/iemocap/",
    languages=("en",),
    speakers=10,
    utterances=10_039,
    codes=EMOTION_CODES,
    protocols=("iemocap-leave-one-session-out",),
    label=label,
    source=Form(
        "Send the release form of https://sail.usc.edu/iemocap/ to USC, fetch "
        "IEMOCAP_full_release.tar.gz with the link that you are sent, then "
        "`ser corpus add iemocap PATH`."
    ),
    belongs=belongs,
    labelling=(EVALUATIONS,),
)
