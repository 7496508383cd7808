"""Which files are recordings, by their names."""

from __future__ import annotations

from pathlib import PurePath

#: Not .mp4, which is mostly video in a folder; a file that is named itself is read all the same.
AUDIO_SUFFIXES = (
    *(".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".aifc"),
    *(".m4a", ".aac", ".webm"),
)
#: Media that are not read from a folder.
OTHER_SUFFIXES = (
    *(".wma", ".amr", ".3gp", ".3gpp", ".3ga", ".mp4", ".m4v", ".m4b", ".mov", ".mkv", ".mka"),
    *(".avi", ".wmv", ".flv", ".mpg", ".mpeg", ".mp2", ".caf", ".au", ".snd", ".sph", ".nist"),
    *(".voc", ".w64", ".rf64", ".wv", ".ape", ".ra", ".rm", ".spx", ".gsm", ".ac3", ".dts"),
    *(".dss", ".raw", ".pcm", ".alaw", ".ulaw", ".mts", ".vob", ".ogv"),
)
#: Sampling rates of MPEG 1, 2 and 2.5 layer III.
MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
AUDIO_FORMATS = "WAV, FLAC, MP3, Ogg (Vorbis, Opus), AIFF, M4A, AAC or WebM"


def is_audio(path: PurePath) -> bool:
    """True for a recording; hidden files, such as macOS's `._x.wav`, are not."""
    return path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")
