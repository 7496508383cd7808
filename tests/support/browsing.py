"""Debian's Chromium without a window, its microphone fed from a WAV file."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
    "--autoplay-policy=no-user-gesture-required",
)
#: Before the page's scripts: what they ask of the browser, and what it refuses them.
WITNESS = """
window.opened = 0;
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective));
if (navigator.mediaDevices) {
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = (asked) => (window.opened++, open(asked));
}
"""
#: Visible texts that contrast less than WCAG 2.2 AA asks for: [text, contrast, least].
FAINT = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (v) => ((v /= 255), v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const luminance = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map(linear);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour[3] !== 0) return colour;
    }
    return [255, 255, 255];
  };
  const isText = (node) => node.nodeType === 3 && node.data.trim();
  const isSeen = (e) => e.checkVisibility() && !e.closest(":disabled");
  const isLarge = ({ fontSize, fontWeight }) =>
    parseFloat(fontSize) >= (fontWeight >= 700 ? 18.66 : 24);
  return [...document.querySelectorAll("body *")]
    .filter((e) => isSeen(e) && [...e.childNodes].some(isText))
    .map((e) => {
      const style = getComputedStyle(e);
      const both = [luminance(parse(style.color)), luminance(ground(e))];
      const contrast = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
      return [e.textContent.trim().slice(0, 40), contrast, isLarge(style) ? 3 : 4.5];
    })
    .filter(([, contrast, least]) => contrast < least);
}"""
#: Controls without a name for a screen reader.
NAMELESS = """() => [...document.querySelectorAll("button, input, select, dialog, [role=slider]")]
  .filter((e) => !(e.textContent.trim() || e.ariaLabel || e.labels?.length
    || e.getAttribute("aria-labelledby")))
  .map((e) => e.outerHTML)"""

#: Texts and controls that lie on each other: [one, other].
OVERLAPPING = """() => {
  const isText = (node) => node.nodeType === 3 && node.data.trim();
  const clipped = [...document.querySelectorAll("body *")]
    .filter((e) => getComputedStyle(e).clipPath !== "none");
  const isShown = (e) => e.checkVisibility() && !e.closest("[aria-hidden=true]")
    && !clipped.some((c) => c.contains(e));
  // What scrolls out of its box is not seen.
  const cut = (e) => {
    let { left, top, right, bottom } = e.getBoundingClientRect();
    for (let p = e.parentElement; p; p = p.parentElement) {
      if (getComputedStyle(p).overflow === "visible") continue;
      const box = p.getBoundingClientRect();
      [left, top] = [Math.max(left, box.left), Math.max(top, box.top)];
      [right, bottom] = [Math.min(right, box.right), Math.min(bottom, box.bottom)];
    }
    return { left, top, right, bottom };
  };
  const all = [...document.querySelectorAll("body *")]
    .filter((e) => isShown(e) && (e.matches("button, select, canvas")
      || [...e.childNodes].some(isText)))
    .map((e) => [e, cut(e)])
    .filter(([, { left, top, right, bottom }]) => left < right && top < bottom);
  const names = (e) => (e.ariaLabel || e.textContent.trim() || e.outerHTML).slice(0, 40);
  const found = [];
  all.forEach(([a, one], i) => all.slice(i + 1).forEach(([b, other]) => {
    const wide = Math.min(one.right, other.right) - Math.max(one.left, other.left);
    const tall = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
    if (wide > 2 && tall > 3 && !a.contains(b) && !b.contains(a)) found.push([names(a), names(b)]);
  }));
  return found;
}"""


def until(page: Any, expression: str) -> None:
    """Wait until it holds: a page's own policy forbids Playwright to wait in it."""
    deadline = time.monotonic() + 30
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


def chromium() -> str:
    """Its executable; the test is skipped without it."""
    pytest.importorskip("playwright", reason="playwright is not installed (extra dev)")
    found = os.environ.get("SER_CHROMIUM") or shutil.which("chromium")
    if found is None:
        pytest.skip("chromium is missing: install Debian's, or name one in SER_CHROMIUM")
    return found


@contextmanager
def driving() -> Iterator[Any]:
    """What starts browsers; one at a time in a process. The test is skipped without Chromium."""
    executable = chromium()
    from playwright.sync_api import expect, sync_playwright

    # Other tests share the cores.
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        yield partial(playwright.chromium.launch, executable_path=executable)


@contextmanager
def browsing(launch: Any, microphone: Path | None) -> Iterator[Any]:
    """A browser; its microphone plays a WAV file once, or there is none."""
    flags = list(FLAGS)
    if microphone is not None:
        flags += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        flags += [f"--use-file-for-fake-audio-capture={microphone}%noloop"]
    browser = launch(args=flags)
    try:
        yield browser
    finally:
        browser.close()


@contextmanager
def visiting(browser: Any, address: str, **options: Any) -> Iterator[Any]:
    """A page, of a server or `file://…`, in a tab of its own.

    What it asks of other hosts, a violation of its content security policy, an exception and a
    line of error in its console fail the test at the end; `page.excused` names parts of lines that
    are expected.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
    context.add_init_script(WITNESS)
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.excused = []
    asked: list[str] = []
    told: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url.replace("ws", "http", 1)))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("console", lambda m: told.append(m.text) if m.type == "error" else None)
    page.goto(address)
    yield page
    assert page.evaluate("violations") == []
    assert [line for line in told if not any(part in line for part in page.excused)] == []
    own = (f"{address}/", "blob:", "data:")
    assert [url for url in asked if url != address and not url.startswith(own)] == []
    context.close()
