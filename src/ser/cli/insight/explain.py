"""`ser explain`: why the model answers a recording as it does, and what would turn the answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ser.cli.answers import ModelOption, recordings_in
from ser.cli.insight.files import stems
from ser.cli.insight.written import write_changes
from ser.core.utterance.formats import AUDIO_FORMATS
from ser.errors import AudioError, NotWritten, ParamsError, TableError
from ser.files import check_file, check_folder, write_text
from ser.output import SOME_FAILED, one_line, print_error

if TYPE_CHECKING:
    import numpy as np

    from ser.api import Model
    from ser.bundle import Bundle
    from ser.explanation.clip import Explained
    from ser.models.base import Examples


def explain(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help=f"Recordings ({AUDIO_FORMATS}), or folders.", show_default=False),
    ] = None,
    model: ModelOption = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="EMOTION",
            help="The emotion to compare with and to turn the answer into; default: the "
            "runner-up, and any.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="A folder for WAV files of the changes that turn the answer."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="One page of all recordings, with log-mels and players."),
    ] = None,
    split: Annotated[
        Literal["test", "dev"] | None,
        typer.Option(
            "--set",
            help="Instead of recordings: what the model rests on over a split of the project, by "
            "permutation importance.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON on stdout: an array, or an object with --set.")
    ] = False,
) -> None:
    """Why the model answers as it does, and the smallest changes of the voice that turn the answer.

    F0, its range, the speaking rate, the level and the spectral tilt are changed step by step;
    --out and --html let you listen. What is shown moved this model's answer; it is not why the
    person spoke so. A file that fails does not stop the others; the exit status is then 1.
    """
    from threadpoolctl import threadpool_limits

    from ser.api import load

    if (split is None) == (not files):
        raise ParamsError(
            "`ser explain` takes recordings, or --set test for a split of the project, and not "
            "both. Give one of them."
        )
    if html:
        check_file(html)
    if out:
        check_folder(out)
    loaded = load(model)
    with threadpool_limits(1):
        if split:
            _explain_set(loaded, split, html=html, as_json=as_json)
        elif _explain_files(loaded, files or [], to=to, out=out, html=html, as_json=as_json):
            raise typer.Exit(SOME_FAILED)


def _explain_files(
    loaded: Model,
    files: Sequence[Path],
    *,
    to: str | None,
    out: Path | None,
    html: Path | None,
    as_json: bool,
) -> int:
    """Explain each file; returns how many failed."""
    from ser.cli.insight.explained import print_explained
    from ser.explanation.attribution.parts import parts_of
    from ser.explanation.clip import check_emotion
    from ser.explanation.document import document

    bundle = loaded.predictor.bundle
    # Before anything is read: what cannot be explained is told at once.
    check_emotion(bundle, to)
    parts_of(bundle)
    recordings = list(recordings_in(files))
    documents: list[dict[str, Any]] = []
    items, failed = [], 0
    folders = [out / name for name in stems(recordings)] if out else None
    for place, (path, found) in enumerate(_each(loaded, recordings, to)):
        if isinstance(found, AudioError):
            failed += 1
            print_error(found)
            documents.append({"file": str(path), "error": str(found)})
            continue
        y, sr, explained = found
        written: list[Path] = []
        try:
            written += write_changes(folders[place], explained) if folders else []
        except NotWritten as error:
            failed += 1
            print_error(error)
        documents.append(
            {**document(str(path), explained), "written": [str(file) for file in written]}
        )
        if not as_json:
            print_explained(str(path), explained, features=bundle.features, to=to)
            for file in written:
                print(f"  {one_line(str(file))}")
        if html:
            from ser.reporting.explanations import Item

            items.append(Item(path.name, y, sr, explained))
    if as_json:
        print(json.dumps(documents, indent=2, allow_nan=False))
    if html and items:
        from ser.reporting.explanations import explanation_page

        page = explanation_page(items, model=_name(loaded), features=bundle.features, to=to)
        write_text(page, html)
    return failed


def _each(
    loaded: Model, recordings: Sequence[Path], to: str | None
) -> Iterator[tuple[Path, AudioError | tuple[np.ndarray, int, Explained]]]:
    from tqdm import tqdm

    from ser.explanation.clip import STEPS, explain
    from ser.io.audio.read import load_mono

    with tqdm(total=STEPS * len(recordings), unit="step", leave=False, disable=None) as bar:
        for place, path in enumerate(recordings, start=1):
            bar.set_description(one_line(path.name)[:24])
            try:
                y, sr = load_mono(path)
                found = explain(loaded.predictor, y, sr=sr, to=to, on_step=bar.update)
            except AudioError as error:
                result: AudioError | tuple[np.ndarray, int, Explained] = error.of(path)
            else:
                result = (y, sr, found)
            bar.update(STEPS * place - bar.n)
            bar.clear()
            yield path, result


def _explain_set(loaded: Model, split: str, *, html: Path | None, as_json: bool) -> None:
    """Permutation importance over a split of the project that the current folder is in."""
    from tqdm import tqdm

    from ser.cli.insight.explained import print_importances
    from ser.explanation.attribution.importance import importances, steps_of
    from ser.explanation.document import importance_document

    bundle = loaded.predictor.bundle
    examples, described = _stored(bundle, split)
    total = steps_of(bundle, examples.inputs)
    with tqdm(total=total, unit="group", leave=False, disable=None) as bar:
        found = importances(bundle, examples, on_step=bar.update)
    if as_json:
        print(json.dumps({"set": split, **importance_document(found)}, indent=2, allow_nan=False))
    else:
        print_importances(found, described)
    if html:
        from ser.reporting.explanations import importance_page

        page = importance_page(found, model=_name(loaded), described=described)
        write_text(page, html)


def _stored(bundle: Bundle, split: str) -> tuple[Examples, str]:
    """The project's features of a split, and which those are."""
    from ser.core.utterance.tables import check_folds
    from ser.io.storage.examples import load_examples
    from ser.io.storage.shards import read_index
    from ser.io.storage.tables import read_table
    from ser.output import count_of
    from ser.params import FeatureParams
    from ser.project import FEATURES, FOLDS, project_root

    root = project_root()
    folds = read_table(root / FOLDS, check_folds)
    if FeatureParams(**read_index(root / FEATURES)[0].params) != bundle.features:
        raise ParamsError(
            "The project's features have other parameters than the model's. Name a model that was "
            "trained on them (--model), or run `dvc repro featurize` with the model's parameters."
        )
    rows = folds[(folds["split"] == split) & folds["emotion"].isin(bundle.classes)]
    if rows.empty:
        raise TableError(f"The split {split} has no utterance of an emotion of the model's.")
    trained = rows["speaker"].isin(bundle.card.get("train_speakers", ()))
    corpora = "+".join(rows["corpus"].unique())
    described = (
        f"The {split} split of {corpora}: {count_of(len(rows), 'utterance')} of "
        f"{count_of(rows['speaker'].nunique(), 'speaker')}."
    )
    if trained.any():
        speakers = count_of(rows.loc[trained, "speaker"].nunique(), "speaker")
        described += f" The model was trained on {speakers} of them: this is no test."
    return load_examples(root, bundle.model.kinds, rows), described


def _name(loaded: Model) -> str:
    """Which model this is, such as "ensemble, version 3, 1a2b3c4d5e6f"."""
    served = loaded.served
    version = f", version {served.version}" if served.version is not None else ""
    return f"{loaded.predictor.bundle.model_name}{version}, {served.bundle_sha256[:12]}"
