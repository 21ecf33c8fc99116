"""Visitors of the page of examples/browser_upload.py: a real browser, and one who posts the page's form by hand."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from email.message import Message
from http.client import HTTPConnection
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from tests.forms import BOUNDARY, encode_form

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
"""The browser's program, where there is one."""
Visit = Callable[[str], None]
"""Uploads a file at that address, after one that the policy refuses."""
NAME: Final = "a b ü.txt"
GOOD: Final = b"Hello from a browser.\n" * 1000
TOO_LARGE: Final = bytes(2**20 + 1)
SECONDS: Final = 30


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Message
    body: bytes


def in_chromium(program: str, url: str) -> None:
    """A person at Chromium, who reads what the page says."""
    from playwright.sync_api import expect, sync_playwright  # the other visitor does without

    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=program) as browser:
        page = browser.new_page()
        page.goto(url)
        says = page.get_by_role("status")
        for data, answer in ((TOO_LARGE, "EntityTooLarge"), (GOOD, f"Stored as uploads/{NAME}.")):
            page.set_input_files("input", {"name": NAME, "mimeType": "text/plain", "buffer": data})
            page.click("button")
            expect(says).to_contain_text(answer, timeout=SECONDS * 1000)


def without_a_browser(url: str) -> None:
    """What the page's script sends, with a browser's headers, and what a browser looks for in the answers."""
    page = urlsplit(url)
    origin = f"{page.scheme}://{page.netloc}"
    policy = json.loads(ask("GET", f"{origin}/policy").body)
    assert post(policy, TOO_LARGE, origin).status == 400, "a file over the policy's limit is let in"
    stored = post(policy, GOOD, origin)
    etag = stored.headers["ETag"]
    assert (stored.status, etag.strip('"')) == (201, hashlib.md5(GOOD, usedforsecurity=False).hexdigest())
    ask("POST", f"{origin}/uploaded", json.dumps({"key": f"uploads/{NAME}", "etag": etag}).encode())


def post(policy: dict[str, Any], data: bytes, origin: str) -> Answer:
    """Post the form from a page of that origin, whose script may read the answer and its ETag."""
    form = encode_form(policy["fields"].items(), data, filename=NAME, content_type="text/plain")
    content_type = f"multipart/form-data; boundary={BOUNDARY.decode()}"
    answer = ask("POST", policy["url"], form, {"Content-Type": content_type, "Origin": origin})
    assert answer.headers["Access-Control-Allow-Origin"] == origin, "the page may not read the answer"
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"], "the page may not read the ETag"
    return answer


def ask(method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
    """One request, answered."""
    to = urlsplit(url)
    with closing(HTTPConnection(to.netloc, timeout=SECONDS)) as connection:
        connection.request(method, to.path, body, dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
