"""A part of a recording, in seconds. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ser.errors import AudioError

#: Seconds by which a segment may end after its recording: tables are rounded.
TOLERANCE = 0.010


@dataclass(frozen=True)
class Segment:
    """From `start` to `end`, in seconds; `end` None: to the end of the recording."""

    start: float = 0.0
    end: float | None = None

    @property
    def is_whole(self) -> bool:
        return self == WHOLE

    def within(self, seconds: float, *, least: float = 0.0, most: float = float("inf")) -> Segment:
        """The segment with its end, at most `seconds`, the duration of the recording.

        Raises AudioError where it lies outside the recording, or lasts less than `least` or more
        than `most` seconds.
        """
        end = seconds if self.end is None else min(self.end, seconds)
        expected = ""
        if self.end is not None and self.end > seconds + TOLERANCE:
            found = f"ends after the recording, which lasts {seconds:.2f} s"
        elif self.start >= seconds:
            found = f"starts after the recording, which lasts {seconds:.2f} s"
        elif not 0 <= self.start < end:
            found = "does not end after its start"
        elif end - self.start < least:
            found, expected = f"lasts {end - self.start:.3f} s", f"at least {least:.3f} s"
        elif end - self.start > most:
            found = f"lasts {end - self.start:.0f} s"
            expected = f"at most {most:.0f} s in one utterance"
        else:
            return Segment(self.start, end)
        remedy = "Give its start and end in seconds."
        raise AudioError(found, expected, remedy, file=f"The segment {self}")

    def samples(self, *, sr: int) -> slice:
        """Its samples in a recording at `sr` Hz.

        >>> Segment(0.5, 2.0).samples(sr=16_000)
        slice(8000, 32000, None)
        """
        return slice(round(self.start * sr), None if self.end is None else round(self.end * sr))

    def of(self, file: str) -> str:
        """Its name in messages."""
        return file if self.is_whole else f"{file} ({self})"

    def __str__(self) -> str:
        end = "the end" if self.end is None else f"{self.end:.3f} s"
        return f"{self.start:.3f} s to {end}"


WHOLE = Segment()
