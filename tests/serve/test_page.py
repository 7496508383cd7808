"""The page in a real browser, against a real server."""

import csv
import io
import json
import re
from contextlib import ExitStack
from math import log10
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser.core.utterance.formats import AUDIO_FORMATS
from ser.serve.interfaces.page import STATIC
from support.browsing import (
    FAINT,
    NAMELESS,
    OVERLAPPING,
    browsing,
    driving,
    until,
    visiting,
)
from support.project import Project
from support.serving import serving

SR = 16_000
#: A tone through the microphone's worklet: the level in dB of what comes out, against what went in.
RESAMPLED = """async ([rate, hz]) => {
  const context = new OfflineAudioContext(1, rate, rate);
  await context.audioWorklet.addModule("/static/capture.worklet.js");
  const buffer = new AudioBuffer({ length: rate, sampleRate: rate });
  buffer.getChannelData(0).forEach((_, i, y) => (y[i] = Math.sin((2 * Math.PI * hz * i) / rate)));
  const tone = new AudioBufferSourceNode(context, { buffer });
  const node = new AudioWorkletNode(context, "capture");
  const out = [];
  node.port.onmessage = ({ data }) => data !== "flushed" && out.push(...data);
  tone.connect(node).connect(context.destination);
  tone.start();
  await context.startRendering();
  await new Promise((resolve) => setTimeout(resolve, 300));
  return out;
}"""


def spoken(recordings: list[Path], emotions: list[str], *, before: float, after: float):
    """Sentences of these emotions, each between so many seconds of silence."""
    parts = []
    for emotion in emotions:
        y, sr = soundfile.read(next(path for path in recordings if emotion in path.name))
        assert sr == SR
        parts += [np.zeros(round(before * SR)), y, np.zeros(round(after * SR))]
    return np.concatenate(parts)


@pytest.fixture(scope="module")
def talk(recordings, tmp_path_factory) -> Path:
    """Three utterances, 0.9 s apart, as a microphone records them."""
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    y = spoken(recordings, ["anger", "sadness", "neutral"], before=0.9, after=0.0)
    soundfile.write(path, np.concatenate([y, np.zeros(SR)]), SR)
    return path


@pytest.fixture(scope="module")
def call(recordings, tmp_path_factory) -> Path:
    """Two parties, each on a channel, in turn."""
    path = tmp_path_factory.mktemp("call") / "call.wav"
    left = spoken(recordings, ["anger", "anger"], before=0.6, after=3.0)
    right = spoken(recordings, ["sadness", "neutral"], before=3.0, after=0.6)
    n = max(left.size, right.size)
    both = [np.pad(y, (0, n - y.size)) for y in (left, right)]
    soundfile.write(path, np.stack(both, axis=1), SR)
    return path


@pytest.fixture(scope="module")
def launch():
    with driving() as found:
        yield found


@pytest.fixture(scope="module")
def browser(launch, talk):
    with browsing(launch, talk) as found:
        yield found


@pytest.fixture
def page(browser, server):
    with visiting(browser, server.address) as found:
        yield found


def expect(locator):
    from playwright.sync_api import expect

    return expect(locator)


def analysed(page, path: Path, *, rows: int) -> None:
    """Choose a file and wait for this many rows of answers."""
    expect(page.locator("#serving")).to_contain_text("Ready")
    page.set_input_files("#file", path)
    expect(page.locator("#list tbody tr")).to_have_count(rows)
    expect(page.locator("#recording-facts")).not_to_contain_text("analysed")


def downloaded(page, button: str) -> str:
    with page.expect_download() as download:
        page.click(button)
    return Path(download.value.path()).read_text()


def asked(server, path: Path) -> dict:
    with server.client() as client:
        return client.post("/v1/predict", files={"file": path.read_bytes()}).json()


def test_an_upload_is_answered_as_rest_answers(page, server, recordings):
    path = next(path for path in recordings if "anger" in path.name)
    answer = asked(server, path)
    analysed(page, path, rows=2)
    expect(page.locator("#answer .headline")).to_contain_text(answer["label"].capitalize())
    shown = json.loads(downloaded(page, "#json"))
    assert shown["answer"]["posteriors"] == answer["posteriors"]
    bars = page.locator("#answer .bars li")
    assert bars.count() == len(answer["posteriors"])
    assert page.locator("#answer .bars .best").inner_text().split()[0].lower() == answer["label"]


def test_a_file_is_streamed_sample_by_sample(page, server, talk, tmp_path):
    """What an utterance of the timeline is answered, REST answers for the same samples."""
    analysed(page, talk, rows=4)
    found = json.loads(downloaded(page, "#json"))
    y, _ = soundfile.read(talk, dtype="int16")
    finals = [m for m in found["measurements"] if m["trigger"] == "speech_ended"]
    assert len(finals) == len(found["utterances"]) == 3
    for final in finals:
        part = tmp_path / "part.wav"
        soundfile.write(part, y[final["start_ms"] * 16 : final["end_ms"] * 16], SR)
        answer = asked(server, part)
        assert final["label"] == answer["label"]
        assert final["posteriors"]["raw"] == pytest.approx(answer["posteriors"], abs=1e-4)


def test_the_microphone_opens_after_consent_and_is_answered(page):
    expect(page.locator("#serving")).to_contain_text("Ready")
    page.click("#use-mic")
    expect(page.locator("#consent")).to_contain_text("not what a person feels")
    agree = page.locator("#consent [type=submit]")
    expect(agree).to_be_disabled()
    assert page.evaluate("opened") == 0
    page.check("#consent-given")
    assert page.evaluate("opened") == 0
    agree.click()
    expect(page.locator("#live-bar")).to_be_visible()
    assert "Recording" in page.title()
    expect(page.locator("#announce")).to_have_text("Recording has begun.")
    assert page.evaluate("opened") == 1
    expect(page.locator("#list tbody tr")).to_have_count(2)
    expect(page.locator("#announce")).to_contain_text("Utterance 2: ")
    page.click("#stop")
    expect(page.locator("#live-bar")).to_be_hidden()
    expect(page.locator("#play")).to_be_enabled()
    found = json.loads(downloaded(page, "#json"))
    assert found["recording"]["kind"] == "microphone"
    assert "anger" in [u["label"] for u in found["utterances"]]


def test_without_a_microphone_the_page_says_so(launch, server):
    with browsing(launch, None) as own, visiting(own, server.address) as page:
        expect(page.locator("#serving")).to_contain_text("Ready")
        page.click("#use-mic")
        page.check("#consent-given")
        page.click("#consent [type=submit]")
        expect(page.locator(".notice")).to_contain_text("microphone")
        expect(page.locator("#live-bar")).to_be_hidden()
        expect(page.locator("#use-mic")).to_be_enabled()


@pytest.mark.parametrize("rate", [48_000, 44_100, 16_000])
def test_the_worklet_keeps_speech_and_lets_no_alias_in(page, rate):
    for hz in (200, 1000, 6500, 9000, 15_000):
        if hz > rate / 2:
            continue
        y = np.array(page.evaluate(RESAMPLED, [rate, hz])[SR // 10 : -SR // 10])
        assert y.size >= 0.7 * SR
        level_db = 20 * log10(max(np.sqrt(2 * np.mean((y / 2**15) ** 2)), 1e-9))
        if hz < SR / 2:
            assert abs(level_db) < 0.5, hz
        else:
            assert level_db < -60, hz


def test_each_channel_of_a_call_is_a_party(page, call):
    analysed(page, call, rows=4)
    assert page.locator("#call").is_checked()
    assert page.locator(".lane h3").all_inner_texts() == ["Party 1", "Party 2"]
    names = page.locator(".chip span")
    for chip, name in zip(page.locator(".chip").all(), names.all(), strict=True):
        outer, inner = chip.bounding_box(), name.bounding_box()
        assert outer["y"] < inner["y"] < outer["y"] + outer["height"] - inner["height"] / 2
    found = json.loads(downloaded(page, "#json"))
    assert sorted((u["channel"], u["label"]) for u in found["utterances"])[:2] == [(0, "anger")] * 2
    page.uncheck("#call")
    expect(page.locator(".lane")).to_have_count(1)
    expect(page.locator("#list tbody tr").first).to_contain_text("Whole")


def test_the_same_sound_on_two_channels_is_no_call(page, recordings, tmp_path):
    y, sr = soundfile.read(recordings[0])
    soundfile.write(tmp_path / "two.wav", np.stack([y, 0.8 * y], 1), sr)
    analysed(page, tmp_path / "two.wav", rows=2)
    assert page.locator("#call").is_visible()
    assert not page.locator("#call").is_checked()


def test_a_correction_is_kept_with_consent_and_deleted_on_request(page, server, talk):
    analysed(page, talk, rows=4)
    page.get_by_label("Correct utterance 2").click()
    send = page.locator("#correction [type=submit]")
    page.locator("#correction").get_by_label("Fear").check()
    expect(send).to_be_disabled()
    page.check("#correction-consent")
    page.check("#correction-audio")
    send.click()
    expect(page.locator("#correction-stored")).to_contain_text("recording are kept")
    kept = server.inbox / page.locator("#correction-id").inner_text()
    correction = json.loads((kept / "correction.json").read_text())
    assert (correction["label"], correction["stored"]) == ("fear", ["label", "audio"])
    y, sr = soundfile.read(kept / "recording")
    assert sr == SR
    assert 1 < y.size / SR < 5
    page.click("#correction-delete")
    expect(page.locator("#correction-sent h2")).to_have_text("Deleted")
    assert not kept.exists()


def test_two_utterances_of_a_session_are_corrected_each(page, server, talk):
    analysed(page, talk, rows=4)
    before = set(server.inbox.glob("*"))
    for number in (1, 2):
        page.get_by_label(f"Correct utterance {number}").click()
        page.locator("#correction").get_by_label("Disgust").check()
        page.check("#correction-consent")
        page.locator("#correction [type=submit]").click()
        expect(page.locator("#correction-sent")).to_be_visible()
        page.locator("#correction-sent [data-close]").click()
        expect(page.locator("#correction-sent")).to_be_hidden()
    own = set(server.inbox.glob("*")) - before
    assert len(own) == 2
    for kept in own:
        assert [p.name for p in kept.iterdir()] == ["correction.json"]


def test_downloads_hold_every_measurement(page, talk):
    analysed(page, talk, rows=4)
    found = json.loads(downloaded(page, "#json"))
    rows = list(csv.DictReader(io.StringIO(downloaded(page, "#csv"))))
    assert [row["trigger"] for row in rows] == [
        "recording",
        *(m["trigger"] for m in found["measurements"]),
    ]
    for row, m in zip(rows[1:], found["measurements"], strict=True):
        assert float(row["end_ms"]) == m["end_ms"]
        assert row["label"] == (m["label"] or "")
        assert sum(float(v) for k, v in row.items() if k.startswith("p_")) == pytest.approx(1)


def test_a_server_with_a_token_is_asked_with_it(browser, trained: Project, tmp_path, talk):
    bundle = trained.root / "models/bundle"
    with (
        serving(bundle, tmp_path, token="let-me_in", inbox={"enabled": False}) as own,
        visiting(browser, own.address) as page,
    ):
        page.excused = ["401"]
        for token, says in (("wrong", "refuses this token"), ("let-me_in", None)):
            page.fill("#token-value", token)
            page.click("#token [type=submit]")
            if says:
                expect(page.locator("#token-error")).to_contain_text(says)
        analysed(page, talk, rows=4)
        assert (
            page.evaluate(
                "JSON.stringify([localStorage.length, sessionStorage.length, document.cookie])"
            )
            == '[0,0,""]'
        )
        # And this one takes no corrections.
        assert page.get_by_role("button", name=re.compile("^Correct")).count() == 0


def test_results_outlive_the_server(browser, trained: Project, tmp_path):
    with ExitStack() as stack:
        own = stack.enter_context(serving(trained.root / "models/bundle", tmp_path))
        page = stack.enter_context(visiting(browser, own.address))
        page.excused = ["WebSocket", "ERR_CONNECTION"]
        expect(page.locator("#serving")).to_contain_text("Ready")
        page.click("#use-mic")
        page.check("#consent-given")
        page.click("#consent [type=submit]")
        expect(page.locator("#list tbody tr")).to_have_count(1)
        own.process.kill()
        expect(page.locator(".notice").first).to_contain_text("connection to the server was lost")
        expect(page.locator("#live-bar")).to_be_hidden()
        expect(page.get_by_role("button", name="Go on")).to_be_visible()
        assert page.locator("#list tbody tr").count() >= 1
        assert json.loads(downloaded(page, "#json"))["utterances"][0]["label"] == "anger"
        expect(page.locator("#serving")).to_have_text("Server away")


def test_a_known_speaker_is_answered_as_one(browser, trained: Project, recordings, tmp_path):
    project = trained.copied_to(tmp_path)
    project.set(model__enrolled=True)
    done = project.call("ser.stages.train")
    assert done.returncode == 0, done.stdout + done.stderr
    with (
        serving(project.root / "models/bundle", tmp_path / "served") as own,
        visiting(browser, own.address) as page,
    ):
        expect(page.locator("#speaker")).to_be_visible()
        page.set_input_files("#clips", recordings[:4])
        expect(page.locator("#speaker")).to_contain_text("Known from 4 clips")
        analysed(page, recordings[5], rows=2)
        expect(page.locator("#answer .facts")).to_contain_text("from 4 clips")
        found = json.loads(downloaded(page, "#json"))
        assert found["measurements"][-1]["enrolled_clips"] == 4


def test_an_error_of_the_server_is_shown_with_its_number(page, tmp_path):
    page.excused = ["422"]
    (tmp_path / "text.wav").write_text("no sound at all, only text " * 20)
    expect(page.locator("#serving")).to_contain_text("Ready")
    page.set_input_files("#file", tmp_path / "text.wav")
    notice = page.locator(".notice.error")
    expect(notice).to_contain_text(re.compile("request [0-9a-f]{32}"))
    notice.get_by_label("Dismiss").click()
    expect(notice).to_have_count(0)


def test_everything_is_reached_with_the_keyboard(page, talk):
    expect(page.locator("#serving")).to_contain_text("Ready")
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.id || document.activeElement.className")
        )
    assert reached[:4] == ["skip", "open-card", "file", "use-mic"]
    page.focus("#open-card")
    page.keyboard.press("Enter")
    expect(page.locator("#card")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#card")).to_be_hidden()
    with page.expect_file_chooser() as chooser:
        page.locator("#file").press("Enter")
    chooser.value.set_files(talk)
    expect(page.locator("#list tbody tr")).to_have_count(4)
    page.focus("#list .pick")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#answer .kicker")).to_contain_text("Utterance 1")
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("slider")).to_have_attribute("aria-valuenow", "500")
    page.locator(".chip").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#answer .kicker")).to_contain_text("Utterance 2")
    page.get_by_label("Correct utterance 3").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#correction")).to_be_visible()
    page.keyboard.press("Escape")
    # What has the focus is outlined.
    page.keyboard.press("Shift+Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_text_contrasts_and_nothing_is_cut_off(browser, server, talk, scheme, width):
    with visiting(browser, server.address, color_scheme=scheme) as page:
        page.set_viewport_size({"width": width, "height": 844})
        expect(page.locator("#serving")).to_contain_text("Ready")
        assert page.evaluate(FAINT) == []
        analysed(page, talk, rows=4)
        assert page.evaluate(FAINT) == []
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.click("#open-card")
        assert page.evaluate(FAINT) == []


def test_every_control_has_a_name(page, talk):
    analysed(page, talk, rows=4)
    assert page.evaluate(NAMELESS) == []


@pytest.fixture(scope="module")
def long_call(recordings, tmp_path_factory) -> Path:
    """Two parties over 50 s: longer than one utterance."""
    path = tmp_path_factory.mktemp("long") / "Ein langes Gespräch.wav"
    left = spoken(recordings, ["anger", "sadness"] * 4, before=0.6, after=4.0)
    right = spoken(recordings, ["neutral", "happiness"] * 4, before=4.0, after=0.6)
    both = np.zeros((50 * SR, 2))
    for c, y in enumerate((left, right)):
        both[: min(y.size, 50 * SR), c] = y[: 50 * SR]
    soundfile.write(path, both, SR)
    return path


def made(page, path: Path) -> None:
    """Choose a long file and wait for its timeline."""
    expect(page.locator("#serving")).to_contain_text("Ready")
    page.set_input_files("#file", path)
    expect(page.locator("#long .tl-table tbody tr").first).to_be_visible(timeout=120_000)


def test_a_long_file_gets_the_timeline_that_the_server_makes(page, server, long_call):
    made(page, long_call)
    with server.client() as client:
        answer = client.post("/v1/timeline", files={"file": long_call.read_bytes()}).json()
    expect(page.locator("#long h2").first).to_have_text(long_call.name)
    assert page.locator("#long .lane h3").all_inner_texts() == ["Left", "Right"]
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").first.click()
    shown = json.loads(Path(download.value.path()).read_text())
    assert [c["turns"] for c in shown["channels"]] == [c["turns"] for c in answer["channels"]]
    page.locator("#long").get_by_label("Call: each channel is a party").click()
    expect(page.locator("#long .lane h3")).to_have_count(0, timeout=120_000)
    expect(page.locator("#recording")).to_be_hidden()


def test_a_long_file_plays_and_its_cursor_moves(page, long_call, talk):
    made(page, long_call)
    page.locator("#long .play").click()
    until(page, "document.querySelector('#long-audio').currentTime > 0.5")
    lane = page.locator("#long .lane canvas").first.bounding_box()
    assert page.locator("#long .cursor").bounding_box()["x"] > lane["x"]
    slider = page.locator("#long").get_by_role("slider")
    slider.focus()
    page.keyboard.press("End")
    expect(slider).to_have_attribute("aria-valuenow", "50")
    page.keyboard.press("n")
    page.keyboard.press("Home")
    page.keyboard.press("n")
    expect(page.locator("#long tr.selected")).to_have_count(1)
    # Another file takes its place, and its sound ends.
    analysed(page, talk, rows=4)
    expect(page.locator("#long")).to_be_hidden()
    assert page.evaluate("document.querySelector('#long-audio').paused")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_a_long_file_is_readable_and_nothing_overlaps(browser, server, long_call, scheme, width):
    with visiting(browser, server.address, color_scheme=scheme) as page:
        page.set_viewport_size({"width": width, "height": 844})
        made(page, long_call)
        assert page.evaluate(FAINT) == []
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate(OVERLAPPING) == []
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_long_file_that_holds_no_sound_is_refused_with_its_number(page, tmp_path):
    page.excused = ["422"]
    (tmp_path / "text.wav").write_text("no sound at all, only text " * 100_000)
    expect(page.locator("#serving")).to_contain_text("Ready")
    page.set_input_files("#file", tmp_path / "text.wav")
    expect(page.locator(".notice.error")).to_contain_text(re.compile("request [0-9a-f]{32}"))
    expect(page.locator("#long")).to_be_hidden()


def test_the_page_names_every_format_that_is_read():
    assert AUDIO_FORMATS in (STATIC / "index.html").read_text(encoding="utf-8")
