"""RAVDESS as published; skipped where SER_CORPORA does not name it."""

from collections import Counter

from ser.corpora.catalogue import label_files
from ser.corpora.published.ravdess import RAVDESS
from ser.io.audio.read import read_recording
from ser.params.protocols import PUBLISHED


def test_the_whole_corpus_is_labelled_as_its_paper_says(real_corpora):
    labels = label_files(real_corpora / "ravdess", RAVDESS)
    assert len(labels) == RAVDESS.utterances
    assert len({label.speaker for label in labels.values()}) == RAVDESS.speakers
    counts = Counter(label.emotion for label in labels.values())
    assert counts.pop("neutral") == 96
    assert set(counts.values()) == {192}
    actors = {f"ravdess/{label.speaker}" for label in labels.values()}
    assert actors == PUBLISHED["ravdess-luna5"].speakers


def test_originals_with_extra_chunks_and_two_channels_load(real_corpora):
    originals = sorted((real_corpora / "ravdess_originals").rglob("*.wav"))
    assert len(originals) == 4
    published = {
        line.split()[2].rpartition("/")[2]: line.split()[0]
        for line in (real_corpora / "checksums" / "ravdess.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    for path in originals:
        found, sha256 = read_recording(path)
        assert sha256 == published[path.name]
        assert (found.sr, 3 < found.seconds < 5) == (48_000, True)
