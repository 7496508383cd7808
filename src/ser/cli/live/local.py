"""A live source through the model on this machine, with the events of the client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator

import numpy as np
from threadpoolctl import threadpool_limits

from ser.cli.live.sources import Source
from ser.client.events import Closed, Event, Measurement, UtteranceEnded, UtteranceStarted
from ser.client.values import Abstention
from ser.params.serving import StreamParams
from ser.predictor import Predictor
from ser.streaming import events
from ser.streaming.stream import Stream


def local_events(
    predictor: Predictor, source: Source, *, fast: bool
) -> Generator[Event, None, None]:
    """What a server with the same model would answer, channel by channel; last, `Closed`.

    fast : no interval is left out; else, where this machine lags, all but the newest one.
    """
    options, totals = StreamParams(), Counter[str]()
    streams = [Stream(predictor, options) for _ in range(source.channels)]
    late = 2 * options.samples(options.hop_seconds)
    # A second thread gains nothing on a clip.
    with threadpool_limits(1):
        for chunk in source:
            newest_only = not fast and len(chunk) >= late
            for channel, stream in enumerate(streams):
                found = stream.feed(np.ascontiguousarray(chunk[:, channel]), newest_only)
                yield from _converted(found, channel, totals)
        for channel, stream in enumerate(streams):
            yield from _converted(stream.close(), channel, totals)
    totals["audio_ms"] = round(1000 * source.position / options.sr)
    yield Closed("closed", dict(totals))


def _converted(found: list[events.Event], channel: int, totals: Counter[str]) -> Iterator[Event]:
    for one in found:
        match one:
            case events.UtteranceStart():
                yield UtteranceStarted(channel, one.at_ms, one.start_sample)
            case events.UtteranceEnd():
                yield UtteranceEnded(
                    channel, one.at_ms, one.start_sample, one.stop_sample, one.reason
                )
            case events.Measurement():
                totals["finals" if one.trigger == "speech_ended" else "partials"] += 1
                totals["dropped_ms"] += one.dropped_ms
                yield _measurement(one, channel)


def _measurement(one: events.Measurement, channel: int) -> Measurement:
    prediction = one.prediction
    refused = prediction.abstention
    return Measurement(
        channel=channel,
        trigger=one.trigger,
        audio_start_ms=one.audio_start_ms,
        audio_end_ms=one.audio_end_ms,
        start_sample=one.start_sample,
        stop_sample=one.stop_sample,
        label=one.label,
        confidence=prediction.confidence,
        posteriors=prediction.posteriors,
        smoothed=one.smoothed,
        candidates=prediction.candidates,
        abstention=Abstention(refused.reason, refused.detail) if refused else None,
        novelty=prediction.novelty,
        enrolled_clips=prediction.enrolled_clips,
        voiced_ms=one.voiced_ms,
        dropped_ms=one.dropped_ms,
    )
