"""Drive the console in Chromium, in the environment of the browser: `python console.py ADDRESS CODE EVIL CHROMIUM`."""

import json
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

address, code, evil, chromium, shots = sys.argv[1:]
base = address.partition("/?")[0]
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url))
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    found: dict[str, object] = {}

    page.goto(address)
    found["address"] = page.url
    page.screenshot(path=Path(shots) / "overview.png", full_page=True)

    page.get_by_label("Code, locator or id").fill(code.lower())
    page.get_by_role("button", name="Find").click()
    found["heading"] = page.get_by_role("heading", level=1).inner_text()
    page.wait_for_load_state("networkidle")
    found["drawn"] = page.evaluate("document.querySelector('main img').naturalWidth > 0")
    page.screenshot(path=Path(shots) / "reservation.png", full_page=True)

    page.get_by_role("link", name=f"nudge {code}").click()
    found["asked"] = page.get_by_role("heading", level=1).inner_text()
    page.get_by_role("button", name="Do it").click()
    found["done"] = page.get_by_role("heading", level=1).inner_text()

    page.get_by_role("link", name="Mails").click()
    page.locator("main li a").first.click()
    frame = page.frame_locator("iframe")
    found["mail"] = len(frame.locator("body").inner_text()) > 0
    page.screenshot(path=Path(shots) / "mail.png")
    page.goto(f"{base}/moods")
    page.screenshot(path=Path(shots) / "simulators.png")
    found["elsewhere"] = [url for url in loaded if not url.startswith(base)]
    found["complaints"] = complaints

    stranger = context.new_page()
    stranger.goto(evil)
    with stranger.expect_navigation():
        stranger.get_by_role("button").click()
    found["forged"] = stranger.locator("h1").inner_text()
    print(json.dumps(found))
    browser.close()
