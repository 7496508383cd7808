"""What a server refuses and asks for before it listens."""

from __future__ import annotations

import resource

import pytest

from ser.params.server import ServeParams
from ser.params.timeline import TimelineParams
from ser.serve.server import ServeError, _allow_files, serve


def test_a_key_of_profiles_that_is_none_is_refused_by_its_name(monkeypatch, tmp_path):
    monkeypatch.setenv("SER_PROFILE_KEY", "hidden")
    with pytest.raises(ServeError, match="SER_PROFILE_KEY") as refused:
        serve(ServeParams(port=0), TimelineParams(), root=tmp_path, bundle=tmp_path, tell=print)
    assert "hidden" not in str(refused.value)


def test_as_many_files_as_connections_may_be_open():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
        _allow_files(600)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 600
        _allow_files(550)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 600
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
