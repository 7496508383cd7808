import pytest

from ser.corpora.catalogue import CORPORA
from ser.corpora.published.marks import WIDTH, published_mark, published_marks


@pytest.mark.parametrize("name", [name for name, corpus in CORPORA.items() if corpus.digest])
def test_the_marks_are_those_of_the_published_checksums(name, checksums):
    published = checksums(name)
    assert published_marks(name) == {published_mark(n, sha) for n, sha in published.items()}
    changed = next(iter(published.items()))
    assert published_mark(changed[0], changed[1][::-1]) not in published_marks(name)


def test_each_recording_has_its_mark_and_other_corpora_have_none():
    for name, corpus in CORPORA.items():
        marks = published_marks(name)
        assert (marks is None) == (corpus.digest is None)
        if marks:
            assert len(marks) == corpus.utterances
            assert {len(mark) for mark in marks} == {WIDTH}
