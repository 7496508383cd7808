"""Stage `manifest CORPUS`: the recordings of one corpus become a table, one row an utterance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ser.core.splits.fingerprint import fingerprint
from ser.core.utterance.fitness import (
    LEFT_OUT,
    MENDABLE,
    LeftOut,
    Needs,
    counted,
    in_words,
    reason_of,
    unfit,
)
from ser.core.utterance.segments import Segment
from ser.core.utterance.tables import check_manifest, manifest_table
from ser.core.utterance.waveform import RUMBLE_HZ
from ser.corpora.base import Labelled, utterances
from ser.corpora.catalogue import corpus_named, list_recordings
from ser.errors import AudioError
from ser.files import file_hash
from ser.io.audio.read import CORPUS, Recording, audio_sha256, limits_of, read_recording
from ser.io.intake.checksums import SUMS, read_sums
from ser.io.intake.exclusion import check_bad, excluded, named, not_read
from ser.io.storage.tables import write_table
from ser.output import count_of, one_line
from ser.parallel import in_parallel
from ser.params import FeatureParams, Params
from ser.project import MANIFESTS, RAW
from ser.stages.base import run_stage

#: No utterance of a published corpus lasts longer: the longest, IEMOCAP's, takes 34 s.
LONG_SECONDS = 40.0


def run(root: Path, params: Params, name: str) -> None:
    folder = root / RAW / name
    corpus = corpus_named(name, root / RAW)
    recordings = list_recordings(folder, corpus)
    labels = corpus.label(folder, recordings)
    # A corpus that DVC tracks without `ser corpus add` has no list: it is taken as it is.
    sums = read_sums(folder) if (folder / SUMS).exists() else {}
    dropped = not_read(
        RAW / name, corpus, recordings, excluded(root, params.data, name, recordings)
    )
    wanted = {file: label for file, label in labels.items() if file not in dropped}
    bad: list[LeftOut] = []
    people = corpus.people or name
    needs = needs_of(params.features)
    rows = read_rows(root, RAW / name, wanted, corpus=name, people=people, needs=needs, sums=sums)
    table = manifest_table(readable(rows, bad))
    left_out = [*dropped.values(), *bad]
    print("".join(f"{one_line(line)}\n" for line in named(left_out)), end="")
    check_bad(name, bad, of=len(labels), data=params.data)
    if left_out:
        print(f"{name}: left out are {in_words(counted(left_out))}.")
    check_manifest(table, f"manifest of {name}")
    write_table(
        table,
        root / MANIFESTS / f"{name}.parquet",
        notes={LEFT_OUT: [vars(one) for one in left_out]},
    )
    minutes = table["duration"].sum() / 60
    print(
        f"{name}: {count_of(len(table), 'utterance')} of "
        f"{count_of(table['speaker'].nunique(), 'speaker')}, {minutes:.0f} min, "
        f"{count_of(table['emotion'].nunique(), 'emotion')}."
    )
    long = table.sort_values("duration").loc[lambda t: t["duration"] > LONG_SECONDS]
    if len(long):
        print(
            f"{name}: {len(long)} recordings last longer than {LONG_SECONDS:g} s, the longest "
            f"{long['duration'].iloc[-1]:.0f} s ({one_line(long['file'].iloc[-1])}): too long for "
            "one utterance. Cut them into utterances, or leave them out."
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
    needs: Needs,
    sums: Mapping[str, str] | None = None,
) -> Iterator[dict[str, Any] | LeftOut]:
    """A manifest's row for each utterance, or why there is none, in parallel.

    folder : of the recordings, relative to `root`.
    people : whose speakers they are; makes speaker ids unique over corpora.
    needs : what the features need of a recording, see `needs_of`.
    sums : SHA-256 that the recordings must have, by their path in `folder`.
    """
    expected = sums or {}
    jobs = [
        (
            root,
            folder / file,
            needs,
            expected.get(file.as_posix()),
            [label.segment for label in own],
        )
        for file, own in utterances(labels)
    ]
    read = in_parallel(_read, jobs, doing=f"read {corpus}")
    for (file, own), found in zip(utterances(labels), read, strict=True):
        if isinstance(found, LeftOut):
            yield found
            continue
        for label, row in zip(own, found, strict=True):
            if isinstance(row, LeftOut):
                yield row
                continue
            yield {
                **vars(label),
                **row,
                "file": (folder / file).as_posix(),
                "corpus": corpus,
                "speaker": f"{people}/{label.speaker}",
            }


def find_unfit(
    root: Path, folder: Path, labels: Labelled, *, needs: Needs, doing: str
) -> list[LeftOut]:
    """The recordings and segments that are unfit for training, in parallel.

    folder, needs : as in `read_rows`.
    """
    jobs = [
        (root, folder / file, needs, [label.segment for label in own])
        for file, own in utterances(labels)
    ]
    return [one for found in in_parallel(_unfit, jobs, doing=doing) for one in found]


def _unfit(root: Path, file: Path, needs: Needs, segments: Sequence[Segment]) -> list[LeftOut]:
    found = _decoded(root, file, segments)
    if isinstance(found, LeftOut):
        return [found]
    parts = _parts(file, found[0], segments, needs)
    return [part for part in parts if isinstance(part, LeftOut)]


def _decoded(
    root: Path, file: Path, segments: Sequence[Segment], expected: str | None = None
) -> tuple[Recording, str] | LeftOut:
    """A recording and its SHA-256, or why it cannot be trained on."""
    name = file.as_posix()
    found: Recording | LeftOut
    try:
        found, sha256 = read_recording(root / file, limits=limits_of(segments))
    except AudioError as error:
        found = LeftOut(name, reason_of(error), str(error.of(name)))
        # A pipe would never end.
        if expected is None or found.reason in MENDABLE or not (root / file).is_file():
            return found
        sha256 = file_hash(root / file)
    # Whatever is wrong with bytes that changed, they came in otherwise.
    if expected is not None and sha256 != expected:
        return LeftOut(
            name,
            "changed",
            f"{file} has SHA-256 {sha256[:12]}…, but it came in with {expected[:12]}…: its bytes "
            "changed. Restore it: delete it, then `dvc checkout`.",
        )
    return found if isinstance(found, LeftOut) else (found, sha256)


def _parts(
    file: Path, recording: Recording, segments: Sequence[Segment], needs: Needs
) -> Iterator[tuple[Segment, Recording] | LeftOut]:
    """Each segment, its bounds filled in, with its samples; or why it is unfit for training."""
    sr = recording.sr
    for segment in segments:
        name = segment.of(file.as_posix())
        try:
            bounds = segment.within(recording.seconds, most=CORPUS.max_seconds)
        except AudioError as error:
            yield LeftOut(name, "beyond limits", str(error.of(name)))
            continue
        part = replace(recording, y=recording.y[bounds.samples(sr=sr)])
        problem = unfit(part.y, sr=sr, needs=needs)
        yield LeftOut(name, problem[0], f"{name} {problem[1]}.") if problem else (bounds, part)


def _read(
    root: Path, file: Path, needs: Needs, expected: str | None, segments: Sequence[Segment]
) -> list[dict[str, Any] | LeftOut] | LeftOut:
    """What only the recording itself can say of the row of each segment."""
    found = _decoded(root, file, segments, expected)
    if isinstance(found, LeftOut):
        return found
    recording, sha256 = found
    return [
        part if isinstance(part, LeftOut) else {**_row(recording, *part), "sha256": sha256}
        for part in _parts(file, recording, segments, needs)
    ]


def _row(recording: Recording, bounds: Segment, part: Recording) -> dict[str, Any]:
    samples, sr = bounds.samples(sr=recording.sr), recording.sr
    start, end = samples.start, samples.start + len(part.y)
    return {
        "start": start / sr,
        "end": end / sr,
        "whole": (start, end) == (0, len(recording.y)),
        "duration": part.seconds,
        "audio_sha256": audio_sha256(part),
        "fingerprint": fingerprint(part.y, sr=sr),
    }


def readable(
    rows: Iterable[dict[str, Any] | LeftOut], bad: list[LeftOut]
) -> Iterator[dict[str, Any]]:
    """The rows; what has none is put into `bad`."""
    for row in rows:
        if isinstance(row, LeftOut):
            bad.append(row)
        else:
            yield row


def needs_of(features: FeatureParams) -> Needs:
    """What `featurize` needs of a recording. Rumble is no speech for features that keep it, too."""
    return Needs(features.n_fft / features.sr, features.high_pass_hz or RUMBLE_HZ)


if __name__ == "__main__":
    run_stage(run)
