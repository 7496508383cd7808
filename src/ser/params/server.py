"""How the promoted model is served. No stage depends on it."""

from __future__ import annotations

from pydantic import Field

from ser.params.section import Section
from ser.params.traffic import TrafficParams


class LimitsParams(Section):
    """What one client, and all of them together, may ask for."""

    #: Of an upload.
    max_megabytes: float = Field(25.0, gt=0)
    #: Of a recording.
    max_seconds: float = Field(300.0, gt=0)
    #: Requests that wait or are worked on; one more is refused with status 429.
    max_requests: int = Field(32, ge=1)
    #: Uploads, and the samples decoded from them, in memory, all together.
    max_upload_megabytes: float = Field(256.0, gt=0)
    #: Of a recording for /v1/timeline; it is decoded in parts, and held coded alone.
    max_timeline_megabytes: float = Field(200.0, gt=0)
    max_timeline_seconds: float = Field(14_400.0, gt=0)
    #: Timelines that are made at once; one more is refused with status 429.
    max_timelines: int = Field(2, ge=1)
    #: Seconds in which such a recording must be there.
    timeline_body_seconds: float = Field(600.0, gt=0)
    #: WebSocket sessions.
    max_streams: int = Field(128, ge=1)
    #: Open connections of any kind.
    max_connections: int = Field(2048, ge=1)
    #: Seconds in which a request's headers, and its body, must be there.
    header_seconds: float = Field(10.0, gt=0)
    body_seconds: float = Field(30.0, gt=0)
    #: Seconds after which a silent session is closed.
    idle_seconds: float = Field(30.0, gt=0)
    #: Seconds in which a worker must answer; one that does not is ended, and another started.
    answer_seconds: float = Field(60.0, gt=0)
    #: Seconds in which a recording must be decoded.
    decode_seconds: float = Field(20.0, gt=0)
    #: Memory of the process that decodes.
    decoder_megabytes: int = Field(2048, ge=512)


class InboxParams(Section):
    """Corrections of listeners; only where they agree is audio kept."""

    enabled: bool = True
    folder: str = "data/inbox"
    #: Days after which a correction is deleted.
    days: int = Field(30, ge=1)
    #: Of all corrections together; beyond, they are refused.
    max_megabytes: int = Field(1024, ge=1)


class ServeParams(Section):
    """`ser serve`; most have an option of the same name."""

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    #: Inference processes of one thread each; null: one for each core.
    workers: int | None = Field(None, ge=1)
    #: Host names, beside the loopback's and `host`, that requests may be addressed to.
    allowed_hosts: tuple[str, ...] = ()
    #: Origins of pages, beside the server's own, that may use it: https://example.org.
    allowed_origins: tuple[str, ...] = ()
    #: Seconds between two looks at who is champion.
    poll_seconds: float = Field(5.0, gt=0)
    #: Seconds in which what is under way is answered when the server is stopped.
    stop_seconds: float = Field(30.0, gt=0)
    #: Seconds for which an enrolled speaker's profile is accepted.
    profile_seconds: int = Field(86_400, ge=60)
    limits: LimitsParams = LimitsParams()
    traffic: TrafficParams = TrafficParams()
    inbox: InboxParams = InboxParams()
