"""The model card of a run, in Markdown, as the Hugging Face hub lays cards out. Pure.

Whatever it says comes from files of the run; what these do not hold is called unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from ser.core.scores.metrics import audit_text, emotions_text, interval_text
from ser.core.scores.published import listeners
from ser.corpora.base import Corpus
from ser.output import count_of
from ser.reporting.words import (
    PROHIBITED,
    PURPOSE,
    SCORES,
    SYNTHETIC,
    protocol_text,
    stress_text,
    too_few_text,
)

NAME = "emotion-recognition"
UNKNOWN = "unknown"
#: Tags of the hub's search.
TAGS = ("speech-emotion-recognition", "audio-classification", "speech", "emotion")
#: Scores by the hub's name of the metric, with our key and its words.
METRICS = {
    "recall": ("uar", "UAR (unweighted average recall)"),
    "accuracy": ("accuracy", "Accuracy"),
    "precision": ("precision_macro", "Macro precision"),
    "f1": ("f1_macro", "Macro F1"),
}


@dataclass(frozen=True)
class Made:
    """What a model was made of and by. Empty or None: not recorded.

    card : that of its bundle. seconds : of training and calibration. version, verdict : in the
    registry, once it is registered.
    """

    model: str
    classes: Sequence[str]
    corpora: Sequence[Corpus]
    card: Mapping[str, Any] = field(default_factory=dict)
    parameters: int | None = None
    seconds: float | None = None
    processor: str = ""
    run_id: str = ""
    bundle_sha256: str = ""
    version: int | None = None
    verdict: str = ""


def card_markdown(
    made: Made,
    scores: Mapping[str, Mapping[str, Any]],
    protocol: Mapping[str, Any],
    analysis: Mapping[str, Any],
    stress: Mapping[str, Any] | None,
) -> str:
    """The whole card.

    scores, protocol : as in reports/metrics.json. analysis : reports/slices.json. stress :
    reports/stress.json; None where the suite has not run.
    """
    test = scores["test"]
    header = yaml.safe_dump(_metadata(made, test, protocol), sort_keys=False, allow_unicode=True)
    sections = {
        "Model Details": _details(made, protocol),
        "Intended Use": [PURPOSE],
        "Out-of-Scope and Prohibited Use": [PROHIBITED],
        "Bias, Risks and Limitations": _limits(test, protocol, analysis, stress),
        "Training Data": _data(made, protocol),
        "Evaluation": _evaluation(scores, protocol, analysis, stress),
        "Environmental Impact": _compute(made),
        "How to Use": _use(made),
        "Citation": _citation(made),
    }
    body = "\n\n".join(
        text for title, blocks in sections.items() for text in (f"## {title}", *blocks) if text
    )
    return f"---\n{header}---\n\n# {_title(made)}\n\n{_lead(test, protocol)}\n\n{body}\n"


def _metadata(made: Made, test: Mapping[str, Any], protocol: Mapping[str, Any]) -> dict[str, Any]:
    languages = list(dict.fromkeys(code for corpus in made.corpora for code in corpus.languages))
    names = [corpus.name for corpus in made.corpora]
    dataset = {
        "type": "+".join(names),
        "name": " + ".join(corpus.title for corpus in made.corpora),
        "split": f"{protocol['name']} fold {protocol['fold']}, test speakers",
    }
    metrics = [
        {"type": kind, "name": words, "value": round(test[key], 4)}
        for kind, (key, words) in METRICS.items()
    ]
    task = {"type": "audio-classification", "name": "Speech emotion recognition"}
    result = {"task": task, "dataset": dataset, "metrics": metrics}
    return {
        # The hub's own word where no licence is stated.
        "license": UNKNOWN,
        **({"language": languages} if languages else {}),
        "library_name": "ser-platform",
        "pipeline_tag": "audio-classification",
        "tags": list(TAGS),
        "datasets": names,
        "metrics": list(METRICS),
        "model-index": [{"name": NAME, "results": [result]}],
    }


def _title(made: Made) -> str:
    corpora = "+".join(corpus.name for corpus in made.corpora)
    version = f", version {made.version}" if made.version else ""
    return f"Speech emotion recognition: {made.model} on {corpora}{version}"


def _lead(test: Mapping[str, Any], protocol: Mapping[str, Any]) -> str:
    note = f" {SYNTHETIC}" if "synthetic" in protocol["corpora"] else ""
    return (
        "One utterance in, a perceived emotion and calibrated posteriors out. "
        f"**UAR {_with_interval(test['uar'], test['uar_ci95'])}** on "
        f"{count_of(test['speakers'], 'speaker')} not trained on; "
        f"chance {test['chance']:.3f}.{note}"
    )


def _details(made: Made, protocol: Mapping[str, Any]) -> list[str]:
    facts = {
        "Model": f"`{made.model}` (docs/models.md)",
        "Emotions": ", ".join(made.classes),
        "Parameters": UNKNOWN if made.parameters is None else f"{made.parameters:,}",
        "Input": "one utterance, mono, any rate that holds speech",
        "Output": "posterior of each emotion, prediction set, or the reason of an abstention",
        "Speakers": {
            "plain": "unknown ones; no enrolment",
            "speaker-enrolled": "known by unlabelled clips of theirs",
        }[protocol["normalisation"]],
        "Languages": _languages(made.corpora),
        "Licence of the weights": f"{UNKNOWN}: none is stated; the corpora's may bind them",
        "Version": f"{made.version} of {NAME}" if made.version else "not registered",
        "Verdict": made.verdict or "not judged",
        "Bundle (SHA-256)": f"`{made.bundle_sha256 or UNKNOWN}`",
        "MLflow run": f"`{made.run_id or UNKNOWN}`",
    }
    return ["\n".join(f"- **{name}:** {text}" for name, text in facts.items())]


def _languages(corpora: Sequence[Corpus]) -> str:
    return ", ".join(f"{c.name}: {', '.join(c.languages) or UNKNOWN}" for c in corpora)


def _limits(
    test: Mapping[str, Any],
    protocol: Mapping[str, Any],
    analysis: Mapping[str, Any],
    stress: Mapping[str, Any] | None,
) -> list[str]:
    recalls = {name: values["recall"] for name, values in test["per_class"].items()}
    weakest = sorted(recalls, key=lambda name: recalls[name])[:2]
    points = [
        "The label is what listeners perceive in speech that was recorded for a corpus, mostly "
        "acted. Nothing here measures what a person feels.",
        f"Measured on {count_of(test['speakers'], 'speaker')}; other speakers, languages, ages, "
        "rooms and microphones are unknown.",
        "Recognised least: "
        + ", ".join(f"{name} (recall {recalls[name]:.3f})" for name in weakest)
        + ".",
        *_groups(test, analysis),
        *_robustness(stress),
    ]
    if "synthetic" in protocol["corpora"]:
        points.insert(0, SYNTHETIC)
    return ["\n".join(f"- {point}" for point in points)]


def _groups(test: Mapping[str, Any], analysis: Mapping[str, Any]) -> Iterator[str]:
    """What the measured slices say."""
    by_sex = [s for s in analysis.get("slices", ()) if s["by"] == "sex"]
    if len(by_sex) > 1:
        each = ", ".join(f"{s['group']} {s['uar']:.3f}" for s in by_sex)
        gap = max(s["uar"] for s in by_sex) - min(s["uar"] for s in by_sex)
        few = " Too few speakers of a group to tell." if any(s["too_few"] for s in by_sex) else ""
        yield f"UAR by sex: {each}; gap {gap:.3f}.{few}"
    elif not by_sex:
        yield "UAR by sex: not measured; the test speakers' sexes are unknown or all alike."
    below = [s for s in analysis.get("slices", ()) if s["below"]]
    for one in below:
        emotions = count_of(one["emotions"], "emotion")
        yield (
            f"Below the score of all, with its whole interval: {one['by']} {one['group']}, "
            f"UAR {_with_interval(one['uar'], one['uar_ci95'])} "
            f"({count_of(one['utterances'], 'utterance')} of {emotions})."
        )
    few = too_few_text(analysis.get("slices", ()))
    if few:
        yield few


def _robustness(stress: Mapping[str, Any] | None) -> Iterator[str]:
    """Failed rows of the stress table."""
    if stress is None:
        yield "Under noise, in rooms, over telephones: not measured for this run (`ser stress`)."
        return
    yield f"Stress suite (noise, rooms, telephones, codecs): {stress_text(stress)}"
    for row in (row for row in stress["rows"] if row["passed"] is False):
        score = "" if row["uar"] is None else f"UAR {row['uar']:.3f} ({row['delta']:+.3f}), "
        yield (
            f"Fails {row['family']}, {row['name']}: {score}{row['unchanged']:.0%} of the answers "
            "unchanged."
        )
    for gap in stress["fairness"]:
        if gap["passed"] is False:
            yield f"UAR gap by {gap['name']} {gap['gap']:.3f}, above the limit {gap['limit']:.3f}."


def _data(made: Made, protocol: Mapping[str, Any]) -> list[str]:
    rows = [
        f"- **{c.name}**: {c.title}. Licence: {c.licence or UNKNOWN}. "
        f"Languages: {', '.join(c.languages) or UNKNOWN}."
        + (f" <{c.homepage}>" if c.homepage else "")
        for c in made.corpora
    ]
    card = made.card
    speakers = card.get("train_speakers")
    count = card.get("train_utterances")
    said = (
        f"Trained on {count_of(count, 'utterance')} and tuned and calibrated on dev utterances, of "
        f"{count_of(len(speakers), 'speaker')} together, none of whom is tested. "
        if speakers is not None and count is not None
        else "The training utterances are unknown. "
    )
    left_out = protocol["audit"].get("left_out") or {}
    counts = sum(sum(reasons.values()) for reasons in left_out.values())
    dropped = f" {count_of(counts, 'recording')} were left out as unfit." if counts else ""
    return ["\n".join(rows), f"{said}{audit_text(protocol['audit'])}{dropped}"]


def _evaluation(
    scores: Mapping[str, Mapping[str, Any]],
    protocol: Mapping[str, Any],
    analysis: Mapping[str, Any],
    stress: Mapping[str, Any] | None,
) -> list[str]:
    test, dev = scores["test"], scores["dev"]
    found = analysis.get("intervals", {}).get("test", {})
    rows = [
        (words, f"{test[key]:.3f}", interval_text(found.get(key)), f"{dev[key]:.3f}")
        for key, words in SCORES.items()
        if key in test
    ]
    rows.append(("Chance (of UAR)", f"{test['chance']:.3f}", "", f"{dev['chance']:.3f}"))
    by_emotion = [
        (name, f"{v['recall']:.3f}", interval_text(found.get(f"recall_{name}")), str(v["support"]))
        for name, v in test["per_class"].items()
    ]
    person = listeners(protocol["corpora"])
    human = (
        f"Human listeners, published: {person.score} ({person.note})."
        if person
        else "Human listeners: no published score is known here."
    )
    return [
        f"{protocol_text(test, protocol)} UAR and chance are over {emotions_text(dict(test))}. "
        "Intervals: 95 %, bootstrapped over speakers; empty for one speaker. Dev tuned and "
        "calibrated the model; its scores are of models not trained on dev.",
        _table(("score", "test", "95 %", "dev"), rows),
        human,
        "Recall by emotion, on test:",
        _table(("emotion", "recall", "95 %", "utterances"), by_emotion),
        f"Stress suite: {stress_text(stress)}" if stress else "",
    ]


def _compute(made: Made) -> list[str]:
    took = (
        "The time of the training is unknown"
        if made.seconds is None
        else f"Training and calibration took {made.seconds:.1f} s"
    )
    processor = f"on {made.processor}" if made.processor else "on an unknown processor"
    return [f"{took}, {processor}. Energy and carbon: not measured."]


def _use(made: Made) -> list[str]:
    place = f"models:/{NAME}/{made.version}" if made.version else "models/bundle"
    return [
        f'```python\nimport ser\n\nser.load("{place}").predict("recording.wav").emotion\n```',
        f"```sh\nser predict --model {place} recording.wav\n```",
    ]


def _citation(made: Made) -> list[str]:
    rows = [f"- {c.name}: {c.citation}" for c in made.corpora if c.citation]
    lacking = [c.name for c in made.corpora if not c.citation]
    if lacking:
        rows.append(f"- {', '.join(lacking)}: citation {UNKNOWN}")
    return ["The software: `CITATION.cff` of ser-platform. The corpora:", "\n".join(rows)]


def _with_interval(value: float, interval: Sequence[float] | None) -> str:
    return f"{value:.3f} {interval_text(interval)}".rstrip()


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
