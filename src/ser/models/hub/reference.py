"""Which encoder a model hears by: its weights are no part of a bundle. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ser.errors import EncoderError

if TYPE_CHECKING:
    from ser.models.hub.encoder import SpeechEncoder


@dataclass(frozen=True)
class EncoderReference:
    """name : of a folder, or on the hub; revision : there; sha256 : of its files; sr : Hz."""

    name: str
    revision: str | None
    sha256: str
    sr: int

    def load(self) -> SpeechEncoder:
        """The encoder, from this machine; raises EncoderError where it is not here.

        Another one of the same name is refused: a model on it would answer nonsense.
        """
        from ser.models.hub.loading import load_encoder

        return self.checked(load_encoder(self.name, revision=self.revision))

    def checked(self, encoder: SpeechEncoder) -> SpeechEncoder:
        """That encoder, if its files are those meant; raises EncoderError."""
        if encoder.reference.sha256 != self.sha256:
            raise EncoderError(
                f"The encoder {encoder.reference.name!r} has SHA-256 "
                f"{encoder.reference.sha256[:12]}…, but the model learnt on {self.sha256[:12]}… "
                f"({self.name}). Fetch that one, or train again."
            )
        return encoder
