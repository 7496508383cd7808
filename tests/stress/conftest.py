"""The embedded corpus, small, and a model of it: shared by the tests of the stress suite."""

from __future__ import annotations

import pytest

from ser.bundle import Bundle
from ser.params import parse_params
from ser.stages import synthesize
from support.small_corpus import VALUES, Corpus, prepared


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root, params = tmp_path_factory.mktemp("stress"), parse_params(VALUES)
    synthesize.run(root, params)
    return prepared(root, params)


@pytest.fixture(scope="session")
def bundle(corpus: Corpus) -> Bundle:
    return corpus.learn()
