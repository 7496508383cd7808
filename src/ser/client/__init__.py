"""A server of emotions, asked from Python: `Client("http://127.0.0.1:8000").predict("clip.wav")`.

Light: it needs httpx, websockets and NumPy, and nothing of the models. docs/howto/stream.md shows
it in use.
"""

from ser.client.asynchronous import AsyncClient, AsyncLiveStream
from ser.client.errors import ClientError
from ser.client.events import (
    Closed,
    Event,
    Measurement,
    Problem,
    UtteranceEnded,
    UtteranceStarted,
)
from ser.client.synchronous import Client, LiveStream
from ser.client.values import Abstention, Answer, Correction, ModelIdentity

__all__ = [
    "Abstention",
    "Answer",
    "AsyncClient",
    "AsyncLiveStream",
    "Client",
    "ClientError",
    "Closed",
    "Correction",
    "Event",
    "LiveStream",
    "Measurement",
    "ModelIdentity",
    "Problem",
    "UtteranceEnded",
    "UtteranceStarted",
]
