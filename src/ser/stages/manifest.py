"""Stage `manifest CORPUS`: the recordings of one corpus become a table, one row an utterance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from ser.core.fingerprint import fingerprint
from ser.core.tables import check_manifest, manifest_table
from ser.core.waveform import mono
from ser.corpora.base import Labels
from ser.corpora.catalogue import corpus_named, list_recordings
from ser.errors import AudioError, ChangedAudio
from ser.io.audio import audio_sha256, read_recording
from ser.io.checksums import SUMS, read_sums
from ser.io.store import write_table
from ser.params import Params
from ser.stages.base import MANIFESTS, RAW, in_parallel, raise_first, run_stage

#: No utterance of a published corpus lasts longer: the longest, IEMOCAP's, takes 34 s.
LONG_SECONDS = 40.0


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
    long = table.sort_values("duration").loc[lambda t: t["duration"] > LONG_SECONDS]
    if len(long):
        print(
            f"{name}: {len(long)} recordings last longer than {LONG_SECONDS:g} s, the longest "
            f"{long['duration'].iloc[-1]:.0f} s ({long['file'].iloc[-1]}): too long for one "
            "utterance. Cut them into utterances, or leave them out."
        )
    if len(labels) < len(recordings):
        print(
            f"{name}: {len(recordings) - len(labels)} of {len(recordings)} recordings have no "
            "label by the corpus's own rules; they are left out."
        )
    if len(recordings) != corpus.utterances:
        print(
            f"{name} as published has {corpus.utterances} utterances; here are {len(recordings)}."
        )


def read_rows(
    root: Path,
    folder: Path,
    labels: Mapping[PurePath, Labels],
    *,
    corpus: str,
    people: str,
    sums: Mapping[str, str] | None = None,
) -> Iterator[dict[str, Any] | AudioError]:
    """A manifest's row for each labelled recording, or why there is none, in parallel.

    folder : of the recordings, relative to `root`.
    people : whose speakers they are; makes speaker ids unique over corpora.
    sums : SHA-256 that the recordings must have, by their path in `folder`.
    """
    expected = sums or {}
    jobs = [(root, folder / file, expected.get(file.as_posix())) for file in labels]
    read = in_parallel(_read, jobs, doing=f"read {corpus}")
    for (file, label), found in zip(labels.items(), read, strict=True):
        if isinstance(found, AudioError):
            yield found
            continue
        yield {
            **vars(label),
            **found,
            "file": (folder / file).as_posix(),
            "corpus": corpus,
            "speaker": f"{people}/{label.speaker}",
        }


def _read(root: Path, file: Path, expected: str | None) -> dict[str, Any] | AudioError:
    """What only the recording itself can say of its row."""
    try:
        recording, sha256 = read_recording(root / file)
    except AudioError as error:
        return type(error)(str(error).replace(f"{root}/", ""))
    if expected is not None and sha256 != expected:
        return ChangedAudio(
            f"{file} has SHA-256 {sha256[:12]}…, but it came in with {expected[:12]}…: its bytes "
            "changed. Restore it: delete it, then `dvc checkout`."
        )
    return {
        "start": 0.0,
        "end": recording.seconds,
        "duration": recording.seconds,
        "sha256": sha256,
        "audio_sha256": audio_sha256(recording),
        "fingerprint": fingerprint(mono(recording.y), sr=recording.sr),
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
