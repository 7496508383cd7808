"""Self-contained pages of HTML: one file each, light and dark, nothing from the network."""

from ser.reporting.pages.audio import audio_uri
from ser.reporting.pages.figures import inline_svg
from ser.reporting.pages.rendering import render

__all__ = ["audio_uri", "inline_svg", "render"]
