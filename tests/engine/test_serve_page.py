"""The page of the server in a real browser: drop, adapt, try, download."""

from __future__ import annotations

import zipfile
from pathlib import Path

import browser
import pytest
import served
from served import png
from tiny_models import saved, tiny_model

from metacli.engine.predict import predict

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("workplace"),
    pytest.mark.skipif(
        browser.browser() is None,
        reason=f"no browser: none of {', '.join(browser.BROWSERS)} is installed",
    ),
]


def files(value: int, *seeds: int) -> dict[str, bytes]:
    return {f"{value}-{seed}.png": png(value, seed) for seed in seeds}


def test_a_person_drops_examples_adapts_tries_and_downloads(workplace: Path) -> None:
    saved(tiny_model(), workplace / "learner")
    downloads = workplace / "downloads"
    downloads.mkdir()
    with served.process("learner") as running, browser.opened(running.address, downloads) as tab:
        tab.wait_for("document.querySelectorAll('.class').length === 2")
        assert tab.run("document.getElementById('adapt').disabled") is True
        for at, (name, value) in enumerate((("dark", 0), ("light", 200))):
            tab.drop(".class .drop", at, files(value, 1, 2, 3, 4))
            tab.run(f"document.querySelectorAll('.class input')[{at}].value = '{name}'")
        assert tab.run("document.querySelectorAll('.thumbs img').length") == 8
        tab.run("document.getElementById('adapt').click()")
        made = tab.wait_for(
            "!document.getElementById('use').hidden && document.getElementById('made').textContent"
        )
        assert "for dark, light" in made
        tab.drop("#try", 0, files(200, 9))
        label = tab.wait_for("document.querySelector('.result strong')?.textContent")
        tab.run("document.querySelector('[data-format=metacli]').click()")
        tab.wait_for("document.getElementById('message').textContent.startsWith('Saved')")
        id = made.split()[1]
        archive = downloads / f"{id}.zip"
        tab.wait_for("true")
        for _ in range(100):
            if archive.exists():
                break
            tab.run("new Promise((done) => setTimeout(done, 100))")
        with zipfile.ZipFile(archive) as whole:
            whole.extractall(downloads)
        Path("new.png").write_bytes(png(200, 9))
        assert predict(downloads / id, "new.png").rows[0].prediction == label
        tab.drop("#try", 0, {"broken.png": b"no image"})
        said = tab.wait_for("document.querySelector('#message.error')?.textContent")
        assert "not an image" in said
        own = ("blob:", "data:", "about:", running.address)
        assert [one for one in tab.asked if not one.startswith(own)] == []


def test_the_page_asks_for_a_token_and_then_works(workplace: Path) -> None:
    saved(tiny_model(), workplace / "learner")
    with (
        served.process("learner", token="sesame") as running,
        browser.opened(running.address, workplace) as tab,
    ):
        tab.wait_for("document.getElementById('message').textContent.includes('token')")
        assert tab.run("document.getElementById('access').hidden") is False
        tab.run("document.getElementById('token').value = 'sesame'")
        tab.run("document.getElementById('enter').click()")
        tab.wait_for("document.querySelectorAll('.class').length === 2")
        assert tab.run("document.getElementById('access').hidden") is True
