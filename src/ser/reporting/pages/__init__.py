"""Self-contained pages of HTML: one file each, light and dark, nothing from the network."""

from ser.reporting.pages.audio import audio_uri
from ser.reporting.pages.figures import inline_svg
from ser.reporting.pages.rendering import render
from ser.reporting.pages.sounds import Sound, sound_of
from ser.reporting.pages.timelines import timeline_page

__all__ = ["Sound", "audio_uri", "inline_svg", "render", "sound_of", "timeline_page"]
