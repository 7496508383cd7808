"""The scaffold of self-contained pages: what is escaped, what figures become, what players play."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from html import unescape
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
from jinja2 import UndefinedError
from matplotlib.figure import Figure

from ser.core.utterance.emotions import COLOURS
from ser.reporting.pages import audio_uri, inline_svg, render


def two_lines() -> Figure:
    figure = Figure(figsize=(3, 2))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="black", label="black")
    axes.text(0.5, 0.5, "always black", color="#111111")
    axes.legend()
    return figure


def test_what_is_no_markup_is_escaped():
    page = render("base.html", title="<script>alert(1)</script> & co")
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; co" in page


def test_a_page_loads_nothing_from_outside():
    page = render("base.html", title="A page")
    assert "default-src 'none'" in unescape(page)
    assert re.findall(r"(?:src|href)=[\"']?(?!data:)[a-z]+:", page) == []


def test_every_emotion_has_its_colour_as_a_variable():
    page = render("base.html", title="A page")
    for emotion, colour in COLOURS.items():
        assert f"--{emotion}: {colour};" in page


def test_a_misspelt_name_is_an_error():
    from ser.reporting.pages.rendering import _environment

    with pytest.raises(UndefinedError):
        _environment().from_string("{{ mispelt }}").render()


def test_black_becomes_the_pages_ink_and_a_chosen_dark_stays():
    svg = inline_svg(two_lines(), label="two lines")
    assert "stroke: currentColor" in svg
    assert "#000000" not in svg
    assert "#111111" in svg


def test_two_figures_share_no_id_and_each_reference_is_answered():
    other = two_lines()
    other.axes[0].set_title("another")
    pictures = [inline_svg(figure, label="lines") for figure in (two_lines(), other)]
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in pictures]
    assert ids[0] & ids[1] == set()
    for svg, own in zip(pictures, ids, strict=True):
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= own
        ElementTree.fromstring(svg)


def test_the_same_figure_gives_the_same_text():
    assert inline_svg(two_lines(), label="lines") == inline_svg(two_lines(), label="lines")


@pytest.mark.parametrize("sr", [8000, 16_000, 44_100, 96_000, 7000])
def test_a_recording_in_a_page_sounds_as_it_did(sr):
    y = 0.3 * np.sin(2 * np.pi * 440 * np.arange(sr) / sr)
    uri = audio_uri(y, sr)
    assert uri.startswith("data:audio/mpeg;base64,")
    decoded, rate = soundfile.read(io.BytesIO(b64decode(uri.partition(",")[2])))
    spectrum = np.abs(np.fft.rfft(decoded))
    assert np.argmax(spectrum) * rate / decoded.size == pytest.approx(440, abs=2)
    assert decoded.std() == pytest.approx(y.std(), rel=0.1)


def test_samples_beyond_full_scale_are_brought_into_range():
    y = 4 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    decoded, _ = soundfile.read(io.BytesIO(b64decode(audio_uri(y, 16_000).partition(",")[2])))
    assert 0.9 < np.abs(decoded).max() < 1.1


def test_two_channels_stay_two():
    y = np.zeros((16_000, 2))
    decoded, _ = soundfile.read(io.BytesIO(b64decode(audio_uri(y, 16_000).partition(",")[2])))
    assert decoded.shape[1] == 2
