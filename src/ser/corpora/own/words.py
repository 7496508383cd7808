"""The words that people use for emotions, and the mapping file that explains them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from ser.core.utterance.emotions import EMOTIONS
from ser.core.utterance.names import pair, spelling_key
from ser.errors import CorpusError, UnknownEmotion

#: Common words for canonical emotions, by `spelling_key`.
SYNONYMS = {
    "afraid": "fear",
    "angry": "anger",
    "bored": "boredom",
    "disgusted": "disgust",
    "excited": "excitement",
    "fearful": "fear",
    "frustrated": "frustration",
    "happy": "happiness",
    "joy": "happiness",
    "sad": "sadness",
    "surprised": "surprise",
}
_FEMALE = (
    *("female", "f", "fem", "woman", "girl", "weiblich", "w", "frau", "féminin", "femme"),
    *("femenino", "mujer", "femminile", "femmina", "donna", "feminino", "mulher"),
    *("kobieta", "żeńska", "vrouw", "kvinna", "kadın", "женский", "女", "女性"),
)
_MALE = (
    *("male", "m", "masc", "man", "boy", "männlich", "mann", "masculin", "homme"),
    *("masculino", "hombre", "maschile", "maschio", "uomo", "homem"),
    *("mężczyzna", "męska", "erkek", "мужской", "男", "男性"),
)
#: Words for a sex, sentence or intensity that is not known, by `spelling_key`.
NOTHING = frozenset(
    spelling_key(word)
    for word in (
        *("", "-", "--", "?", ".", "unknown", "unspecified", "not available", "missing"),
        *("n/a", "#n/a", "na", "<na>", "nan", "null", "none"),
    )
)
#: Words for a speaker's sex in some languages; codes such as 1 and 2 need a mapping.
SEXES = {
    **dict.fromkeys(_FEMALE, "female"),
    **dict.fromkeys(_MALE, "male"),
    **dict.fromkeys(NOTHING, "unknown"),
}
#: Parts of a mapping file; a file without parts maps emotions.
SECTIONS = ("emotion", "speaker", "sex")
#: In a mapping: recordings with this word are left out.
DROP = "drop"


def vocabulary(mapping: Mapping[str, str]) -> dict[str, str]:
    """Words, by `spelling_key`, -> canonical emotion or `drop`; the user's go before ours."""
    wrong = {word: to for word, to in mapping.items() if to not in (*EMOTIONS, DROP)}
    if wrong:
        word, to = next(iter(wrong.items()))
        raise UnknownEmotion(
            f"The mapping makes {word!r} {to!r}; known are {', '.join(EMOTIONS)}, and {DROP} to "
            "leave its recordings out. Choose one of these."
        )
    users: dict[str, str] = {}
    for word, to in mapping.items():
        before = users.setdefault(spelling_key(word), to)
        if before != to:
            raise CorpusError(
                f"The mapping makes {word!r} both {before} and {to}; capitals make no difference. "
                "Choose one."
            )
    return {emotion: emotion for emotion in EMOTIONS} | SYNONYMS | users


def check_sexes(mapping: Mapping[str, str]) -> None:
    """Raise CorpusError where a mapping makes a word another sex than female, male, unknown."""
    for word, to in mapping.items():
        if to not in SEXES.values():
            raise CorpusError(
                f"The mapping makes the sex {word!r} {to!r}; known are female, male and unknown. "
                "Choose one of these."
            )


def unknown_sexes(words: Iterable[str]) -> CorpusError:
    words = sorted(words)
    return CorpusError(
        f"Unknown words for the sex: {', '.join(map(repr, words))}; known are female, f, male, m "
        "and the like. Add to the file that --mapping names: "
        f"{skeleton(words, 'sex', 'SEX')}, where SEX is female, male or unknown."
    )


def two_or_one(pairs: Sequence[tuple[str, str]], where: str = "") -> CorpusError:
    """The question whether two spellings are one speaker, with both answers to copy."""
    a, b = pairs[0]
    one, two = _yaml({"speaker": {b: a}}), _yaml({"speaker": {a: f"{a} 1", b: f"{b} 2"}})
    more = f" ({len(pairs)} such pairs)" if len(pairs) > 1 else ""
    return CorpusError(
        f"{where}Speakers {pair(a, b)} differ by spelling alone{more}: are they one person or "
        f"two? Add to the file that --mapping names, for one: {one}, or for two: {two}."
    )


def unknown_words(words: Iterable[str]) -> UnknownEmotion:
    words = sorted(words)
    return UnknownEmotion(
        f"Unknown emotion words: {', '.join(words)}. Write a mapping file and name it with "
        f"--mapping: {skeleton(words)}, where EMOTION is one of {', '.join(EMOTIONS)}, or {DROP}."
    )


def skeleton(words: Iterable[str], section: str = "", to: str = "EMOTION") -> str:
    """A mapping to complete, as YAML on one line."""
    mapping = dict.fromkeys(words, to)
    return _yaml({section: mapping} if section else mapping)


def _yaml(values: Any) -> str:
    line = yaml.safe_dump(
        values, default_flow_style=True, allow_unicode=True, width=float("inf"), sort_keys=False
    )
    return str(line).strip()
