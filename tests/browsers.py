"""A real browser without a window."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def chromium(*arguments: str) -> Iterator:
    """Chromium, driven by playwright; skips the test where one of them is absent."""
    driver = pytest.importorskip('playwright.sync_api', reason='browsers are driven by playwright')
    path = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
    if path is None:
        pytest.skip('there is no Chromium: apt install chromium')
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=['--no-sandbox', *arguments])
        yield browser
        browser.close()
