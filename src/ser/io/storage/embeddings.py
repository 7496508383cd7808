"""Embeddings on disk: shards like those of features, named after recordings, encoder and code.

An embedding costs a second where a log-mel costs a hundredth: none is computed twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ser.core.utterance.segments import Segment
from ser.errors import AudioError
from ser.files import code_sha256
from ser.io.audio.read import load_segments
from ser.io.storage.shards import Recipe, check_shards, read_arrow, read_index, write_arrow

if TYPE_CHECKING:
    from ser.models.encoders.encoder import SpeechEncoder

#: The source that embeddings depend on: another one is another recipe.
CODE = (
    *("core/features/extract.py", "core/utterance/segments.py", "core/utterance/waveform.py"),
    "io/audio",
    *(f"models/encoders/{name}.py" for name in ("encoder", "layer_stats", "loading")),
)
#: Recordings that are decoded before they are encoded together.
CHUNK = 64


def embedding_recipe(encoder: SpeechEncoder, params: Mapping[str, Any]) -> Recipe:
    """What, beside a recording, determines its embedding.

    params : how the caller prepares the waveform.
    """
    # Which hidden states are handed out has changed between releases of transformers.
    release = version("transformers").split(".")[0]
    of_encoder = {"encoder_sha256": encoder.reference.sha256, "transformers": release}
    return Recipe({**params, **of_encoder}, code_sha256(*CODE))


def encode_recordings(
    root: Path,
    utterances: Iterable[tuple[str, str, Segment]],
    encoder: SpeechEncoder,
    *,
    prepare: Callable[[np.ndarray, int], np.ndarray],
) -> Iterator[np.ndarray | AudioError]:
    """Embedding of each utterance, or why it has none, in order.

    utterances : files below `root`, the SHA-256 that their bytes must have, and segments of them; a
    file is decoded once for those that follow each other. prepare : from mono samples and their
    rate to a waveform at `encoder.sr` Hz.
    """
    prepared = (
        waveform
        for (file, sha256), own in groupby(utterances, key=lambda utterance: utterance[:2])
        for waveform in _prepared(root, file, sha256, [s for *_, s in own], encoder, prepare)
    )
    while chunk := list(islice(prepared, CHUNK)):
        embeddings = iter(encoder.encode([y for y in chunk if not isinstance(y, AudioError)]))
        for y in chunk:
            yield y if isinstance(y, AudioError) else next(embeddings)


def _prepared(
    root: Path,
    file: str,
    sha256: str,
    segments: Sequence[Segment],
    encoder: SpeechEncoder,
    prepare: Callable[[np.ndarray, int], np.ndarray],
) -> Iterator[np.ndarray | AudioError]:
    """The waveform of each segment of a file, or why it has none."""
    try:
        waveforms = load_segments(root / file, segments, sha256=sha256)
    except AudioError as error:
        yield from [error.of(file)] * len(segments)
        return
    for (y, sr), segment in zip(waveforms, segments, strict=True):
        try:
            yield encoder.checked(prepare(y, sr))
        except AudioError as error:
            yield error.of(segment.of(file))


def write_shard(embeddings: Sequence[tuple[str, np.ndarray]], path: Path) -> str:
    """Write embeddings (n_layers, width), given with their recordings' SHA-256; returns the
    file's own."""
    values = np.stack([np.asarray(value, dtype=np.float32) for _, value in embeddings])
    table = pa.table(
        {
            "sha256": pa.array([sha256 for sha256, _ in embeddings], pa.string()),
            "embedding": pa.FixedSizeListArray.from_arrays(
                pa.array(values.reshape(-1)), values[0].size
            ),
        }
    ).replace_schema_metadata({"shape": json.dumps(values.shape[1:])})
    return write_arrow(table, path)


def read_shard(path: Path) -> dict[str, np.ndarray]:
    """The embeddings in a shard by their recordings' SHA-256, each float32 (n_layers, width)."""
    table = read_arrow(path)
    shape = json.loads(table.schema.metadata[b"shape"])
    column = table["embedding"].combine_chunks()
    values = column.flatten().to_numpy().reshape(len(column), *shape)
    return dict(zip(table["sha256"].to_pylist(), values, strict=True))


def read_embeddings(folder: Path) -> dict[str, np.ndarray]:
    """Embeddings of all recordings by SHA-256, each float32 (n_layers, width), checked first.

    They are views of the files' pages: what is not used is not held in memory. Raises
    DamagedFeatures where a byte is not as it was written.
    """
    check_shards(folder)
    embeddings: dict[str, np.ndarray] = {}
    for name in read_index(folder)[1]:
        embeddings |= read_shard(folder / name)
    return embeddings
