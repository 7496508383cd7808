"""Stage `manifest CORPUS`: the recordings of one corpus become a table, one row an utterance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ser.core.fingerprint import fingerprint
from ser.core.segments import Segment
from ser.core.tables import check_manifest, manifest_table
from ser.core.waveform import mono
from ser.corpora.base import Labelled, utterances
from ser.corpora.catalogue import corpus_named, list_recordings
from ser.errors import AudioError, ChangedAudio
from ser.io.audio import CORPUS, Recording, audio_sha256, limits_of, read_recording
from ser.io.checksums import SUMS, read_sums
from ser.io.store import write_table
from ser.params import Params
from ser.stages.base import MANIFESTS, RAW, in_parallel, raise_first, run_stage


def run(root: Path, params: Params, name: str) -> None:
    folder = root / RAW / name
    corpus = corpus_named(name, root / RAW)
    recordings = list_recordings(folder, corpus)
    labels = corpus.label(folder, recordings)
    # A corpus that DVC tracks without `ser corpus add` has no list: it is taken as it is.
    sums = read_sums(folder) if (folder / SUMS).exists() else {}
    failures: list[AudioError] = []
    people = corpus.people or name
    rows = read_rows(root, RAW / name, labels, corpus=name, people=people, sums=sums)
    table = manifest_table(readable(rows, failures))
    raise_first(failures, of=len(labels), what="files")
    check_manifest(table, f"manifest of {name}")
    write_table(table, root / MANIFESTS / f"{name}.parquet")
    minutes = table["duration"].sum() / 60
    print(
        f"{name}: {len(table)} utterances of {table['speaker'].nunique()} speakers, "
        f"{minutes:.0f} min, {table['emotion'].nunique()} emotions."
    )
    if len(labels) < len(recordings):
        print(
            f"{name}: {len(recordings) - len(labels)} of {len(recordings)} recordings have no "
            "label by the corpus's own rules; they are left out."
        )
    # Each recording without a label is an utterance, too.
    here = len(recordings) - len(labels) + len(table)
    if here != corpus.utterances:
        print(f"{name} as published has {corpus.utterances} utterances; here are {here}.")


def read_rows(
    root: Path,
    folder: Path,
    labels: Labelled,
    *,
    corpus: str,
    people: str,
    sums: Mapping[str, str] | None = None,
) -> Iterator[dict[str, Any] | AudioError]:
    """A manifest's row for each utterance, or why a recording has none, in parallel.

    folder : of the recordings, relative to `root`.
    people : whose speakers they are; makes speaker ids unique over corpora.
    sums : SHA-256 that the recordings must have, by their path in `folder`.
    """
    expected = sums or {}
    jobs = [
        (root, folder / file, expected.get(file.as_posix()), [label.segment for label in own])
        for file, own in utterances(labels)
    ]
    read = in_parallel(_read, jobs, doing=f"read {corpus}")
    for (file, own), found in zip(utterances(labels), read, strict=True):
        if isinstance(found, AudioError):
            yield found
            continue
        for label, row in zip(own, found, strict=True):
            yield {
                **vars(label),
                **row,
                "file": (folder / file).as_posix(),
                "corpus": corpus,
                "speaker": f"{people}/{label.speaker}",
            }


def _read(
    root: Path, file: Path, expected: str | None, segments: Sequence[Segment]
) -> list[dict[str, Any]] | AudioError:
    """What only the recording itself can say of the row of each segment."""
    try:
        recording, sha256 = read_recording(root / file, limits=limits_of(segments))
        rows = [_row(recording, segment) for segment in segments]
    except AudioError as error:
        message = str(error).replace(f"{root}/", "")
        return type(error)(message if str(file) in message else f"{file}: {message}")
    if expected is not None and sha256 != expected:
        return ChangedAudio(
            f"{file} has SHA-256 {sha256[:12]}…, but it came in with {expected[:12]}…: its bytes "
            "changed. Restore it: delete it, then `dvc checkout`."
        )
    return [{**row, "sha256": sha256} for row in rows]


def _row(recording: Recording, segment: Segment) -> dict[str, Any]:
    sr, n_samples = recording.sr, len(recording.y)
    bounds = segment.within(recording.seconds, least=2 / sr, most=CORPUS.max_seconds)
    samples = bounds.samples(sr=sr)
    start, end = samples.start, min(samples.stop, n_samples)
    part = replace(recording, y=recording.y[start:end])
    return {
        "start": start / sr,
        "end": end / sr,
        "whole": (start, end) == (0, n_samples),
        "duration": part.seconds,
        "audio_sha256": audio_sha256(part),
        "fingerprint": fingerprint(mono(part.y), sr=sr),
    }


def readable(
    rows: Iterable[dict[str, Any] | AudioError], failures: list[AudioError]
) -> Iterator[dict[str, Any]]:
    """The rows; what has none is put into `failures`."""
    for row in rows:
        if isinstance(row, AudioError):
            failures.append(row)
        else:
            yield row


if __name__ == "__main__":
    run_stage(run)
