"""What the parts of a server share, without its processes."""

from __future__ import annotations

from cryptography.fernet import Fernet

from ser.params.server import ServeParams
from ser.serve.ids import Ids
from ser.serve.interfaces.admission import Admission
from ser.serve.metrics import Metrics
from ser.serve.state import State
from ser.serve.voices import Profiles
from ser.serve.workers.pool import Pool


def state_of(params: ServeParams, *, token: str | None = None) -> State:
    """The state of a server with one worker, none of which is started."""
    return State(
        params,
        Pool(params, 1),
        Admission(params.limits),
        Metrics(),
        Profiles(Fernet.generate_key(), seconds=60),
        Ids(b"key"),
        inbox=None,
        traffic=None,
        token=token,
    )
