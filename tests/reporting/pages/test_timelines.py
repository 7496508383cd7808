"""The page of timelines in a real browser, from a file."""

from __future__ import annotations

import io
from base64 import b64decode

import numpy as np
import pytest
import soundfile

from ser.drawing import FOLDER, bundled
from ser.reporting.pages import Sound, audio_uri, sound_of, timeline_page
from support.browsing import FAINT, NAMELESS, OVERLAPPING, browsing, driving, until, visiting
from support.timelines import a_document

SR = 16_000


def tone(seconds: float, channels: int = 1) -> np.ndarray:
    t = np.arange(int(seconds * SR)) / SR
    return np.repeat(0.1 * np.sin(2 * np.pi * 220 * t)[:, None], channels, axis=1).astype("f4")


@pytest.fixture(scope="module")
def browser():
    with driving() as launch, browsing(launch, None) as found:
        yield found


@pytest.fixture
def shown(browser, tmp_path):
    """Writes a page and opens it; what it asks of others, and errors, fail the test."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def show(documents, audio=(), **options):
            path = tmp_path / "timeline.html"
            path.write_text(timeline_page(documents, audio), encoding="utf-8")
            return stack.enter_context(visiting(browser, path.as_uri(), **options))

        yield show


def expect(locator):
    from playwright.sync_api import expect

    return expect(locator)


def position(page) -> float:
    return float(page.get_by_role("slider").get_attribute("aria-valuenow"))


def left_of_cursor(page) -> float:
    return page.locator(".cursor").bounding_box()["x"]


def test_it_plays_and_the_cursor_moves(shown):
    page = shown([a_document(channels=2)], [audio_uri(tone(30, 2), SR)])
    assert page.locator(".lane h3").all_inner_texts() == ["Left", "Right"]
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, "document.querySelector('audio').currentTime > 0.3")
    before = left_of_cursor(page)
    until(page, "document.querySelector('audio').currentTime > 1.2")
    assert left_of_cursor(page) > before
    expect(page.locator(".tl-now")).to_contain_text("Left: anger")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_a_turn_of_the_table_plays_and_ends(shown):
    page = shown([a_document()], [audio_uri(tone(30), SR)])
    page.get_by_role("button", name="Play Neutral").first.click()
    until(page, "!document.querySelector('audio').paused")
    # The second turn: 6 s to 9 s.
    assert 6 <= page.evaluate("document.querySelector('audio').currentTime") < 8
    page.evaluate("document.querySelector('audio').playbackRate = 8")
    until(page, "document.querySelector('audio').paused")
    assert 9 <= page.evaluate("document.querySelector('audio').currentTime") < 10.5
    expect(page.locator("tr.selected")).to_contain_text("Neutral")


def test_a_click_seeks_and_a_drag_scrubs(shown):
    page = shown([a_document()], [audio_uri(tone(30), SR)])
    box = page.locator(".tl-area").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
    assert position(page) == 15
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 30, steps=4)
    page.mouse.up()
    assert position(page) == 27


def test_the_keyboard_seeks_zooms_and_goes_from_turn_to_turn(shown):
    page = shown([a_document()], [audio_uri(tone(30), SR)])
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("n")
    expect(slider).to_have_attribute("aria-valuetext", "0:01.0, anger")
    page.keyboard.press("n")
    expect(slider).to_have_attribute("aria-valuetext", "0:06.0, neutral")
    page.keyboard.press("p")
    expect(slider).to_have_attribute("aria-valuetext", "0:01.0, anger")
    page.keyboard.press("End")
    assert position(page) == 30
    whole = page.get_by_role("button", name="Show the whole recording")
    expect(whole).to_be_disabled()
    page.keyboard.press("+")
    expect(whole).to_be_enabled()
    expect(page.locator(".tl-window")).to_be_visible()
    page.keyboard.press("0")
    expect(whole).to_be_disabled()
    page.keyboard.press("Home")
    page.keyboard.press(" ")
    until(page, "!document.querySelector('audio').paused")


def test_the_wheel_zooms_where_the_pointer_is(shown):
    page = shown([a_document()])
    box = page.locator(".tl-area").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 30)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    window = page.locator(".tl-window")
    expect(window).to_be_visible()
    whole, own = page.locator(".tl-overview").bounding_box(), window.bounding_box()
    assert own["width"] < whole["width"] / 2
    held = own["x"] + own["width"] / 4 - whole["x"]
    assert held == pytest.approx(whole["width"] / 4, abs=3)


def test_what_lies_under_the_pointer_is_told(shown):
    page = shown([a_document()])
    box = page.locator(".tl-area").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 7.5 / 30, box["y"] + 80)
    tip = page.locator(".tl-tip")
    expect(tip.locator("li").first).to_contain_text("Neutral70.0\u202f%")
    page.mouse.move(box["x"] + box["width"] * 9.5 / 30, box["y"] + 80)
    expect(tip).to_contain_text("No speech")


def test_without_sound_a_file_of_this_computer_is_played(shown, tmp_path):
    soundfile.write(tmp_path / "own.wav", tone(30), SR)
    page = shown([a_document()], [Sound(note="Too long.")])
    expect(page.locator(".tl-picker")).to_contain_text("Too long.")
    play = page.get_by_role("button", name="Play", exact=True)
    expect(play).to_be_disabled()
    page.get_by_role("slider").focus()
    page.keyboard.press("n")
    assert position(page) == 1
    page.set_input_files(".tl-picker input", tmp_path / "own.wav")
    play.click()
    until(page, "document.querySelector('audio').currentTime > 0.2")


def test_several_recordings_stand_in_time_or_by_name_and_none_is_ranked(shown):
    files = ["week 2.wav", "week 10.wav", "week 1.wav"]
    page = shown(
        [
            a_document(file, first=e)
            for file, e in zip(files, ("anger", "neutral", "sadness"), strict=True)
        ]
    )
    rows = page.locator(".tl-compared tbody th")
    assert rows.all_inner_texts() == files
    assert page.locator("select").first.locator("option").count() == 2
    assert page.locator(".tl-compared thead button").count() == 0
    page.locator("select").first.select_option("name")
    assert rows.all_inner_texts() == ["week 1.wav", "week 2.wav", "week 10.wav"]
    page.get_by_role("link", name="week 10.wav").click()
    expect(page.locator("#file-2 .lane canvas")).to_be_visible()
    expect(page.locator("#file-1 .lane")).to_have_count(0)


def test_a_name_of_a_file_is_text_and_never_a_script(shown):
    file = "</script><script>violations.push(1)</script><b>.wav"
    page = shown([a_document(file)])
    assert page.locator("h1").inner_text() == f"Timeline of {file}"
    assert page.evaluate("document.querySelectorAll('b').length") == 0


def test_a_recording_in_which_nobody_speaks_says_so(shown):
    page = shown([a_document(seconds=3.0)])
    expect(page.locator("main")).to_contain_text("nobody speaks in this recording")
    expect(page.locator("main")).to_contain_text("No turn was answered.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_text_contrasts_and_nothing_overlaps(shown, scheme, width):
    documents = [a_document(channels=2), a_document("long.wav", seconds=1500)]
    for chosen in (documents, documents[:1]):
        page = shown(chosen, color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 844})
        for summary in page.locator("summary").all():
            summary.click()
        expect(page.locator(".lane canvas")).to_have_count(len(chosen) + 1)
        assert page.evaluate(FAINT) == []
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate(OVERLAPPING) == []
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_one_script_holds_all_modules_and_loads_none():
    script = bundled(FOLDER / "sheet.js")
    assert "import " not in script.replace("important", "")
    assert "class Track" in script
    assert script.index("function h(") < script.index("class Track") < script.index("class Sheet")


def decoded(sound: Sound) -> tuple[np.ndarray, int]:
    y, sr = soundfile.read(io.BytesIO(b64decode(sound.uri.split(",")[1])), always_2d=True)
    return y, sr


@pytest.mark.parametrize(("sr", "channels"), [(48_000, 2), (8_000, 1), (44_100, 6), (16_000, 1)])
def test_sound_and_timeline_begin_together(sr, channels):
    y = np.zeros((4 * sr, channels), np.float32)
    y[sr : sr + sr // 10] = 0.4 * np.sin(np.arange(sr // 10) * 2 * np.pi * 700 / sr)[:, None]
    blocks = [(part, sr) for part in np.array_split(y, 7)]
    for megabytes in (60, 0.012 * min(channels, 2)):
        sound = sound_of(blocks, seconds=4.0, most_megabytes=megabytes)
        assert len(sound.uri) < 1.05e6 * megabytes
        z, rate = decoded(sound)
        assert np.flatnonzero(np.abs(z[:, 0]) > 0.1)[0] / rate == pytest.approx(1.0, abs=0.01)
        assert (sound.note is None) == (megabytes == 60)


def test_a_recording_that_makes_the_page_too_large_is_left_out():
    sound = sound_of([(tone(1), SR)], seconds=24 * 3600.0)
    assert sound.uri is None
    assert "larger than 60 MB" in sound.note
