from pathlib import PurePath

from ser.core.utterance.formats import is_audio


def test_a_folder_gives_every_format_of_recording_but_no_video_and_no_hidden_file():
    suffixes = ("wav", "FLAC", "mp3", "ogg", "oga", "opus", "m4a", "aac", "aif", "aiff", "aifc")
    names = [f"a.{suffix}" for suffix in (*suffixes, "webm")]
    assert all(is_audio(PurePath("folder", name)) for name in names)
    assert not any(is_audio(PurePath(name)) for name in ("a.mp4", "._a.wav", "a.txt", "wav"))
