"""The page as a whole: what it says, what it must never do, and when it is written."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser

import numpy as np
import pytest

from curate.errors import StorageError
from curate.ledger import funnel
from curate.media.writer import write_image
from curate.report import write_report
from curate.run import Run
from tests.report.conftest import BOLD, IMAGE, SCRIPT, sampled, stages, trained

Opened = Callable[..., Run]


class Page(HTMLParser):
    """Elements and text of a page, as a browser would find them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page(run: Run) -> Page:
    return Page(write_report(run, run.ledger()).read_text(encoding="utf-8"))


def test_every_row_is_accounted_for(job: Opened) -> None:
    run = job()
    counts: dict[str, int] = {}
    for row in funnel(run.ledger()):
        counts[row["outcome"]] = counts.get(row["outcome"], 0) + row["rows"]
    assert {"kept", "rejected", "duplicate", "quarantined"} <= counts.keys()
    terms = [f"{counts.get(name, 0)} {name}" for name in ("kept", "rejected", "duplicate", "quarantined", "sealed")]
    assert f"{sum(counts.values())} in = {' + '.join(terms)}" in page(run).text


def test_reasons_and_evidence_are_named(job: Opened) -> None:
    text = page(job()).text
    for words in ("split:too_short", "motion:below_min", "min 0.01", "exact:bytes", "exact:content", "source:missing"):
        assert words in text


def test_hostile_text_stays_text(job: Opened) -> None:
    run = job()
    sampled(run.out, 1, prompt=SCRIPT)
    found = page(run)
    assert SCRIPT in found.text
    assert IMAGE in found.text
    assert BOLD in found.text
    tags = {tag for tag, _ in found.elements}
    assert not tags & {"script", "iframe", "object", "embed", "link", "base", "form"}
    assert not [a for _, attributes in found.elements for a in attributes if a.startswith("on")]


def test_nothing_is_loaded_from_elsewhere(job: Opened) -> None:
    run = job()
    trained(run.out)
    sampled(run.out, 2)
    found = page(run)
    names = ("src", "href", "poster", "srcset", "data")
    links = [a[name] or "" for _, a in found.elements for name in names if name in a]
    assert links
    assert all(link.startswith(("data:image/jpeg;base64,", "data:video/mp4;base64,", "#")) for link in links)
    assert "url(" not in write_report(run, run.ledger()).read_text()
    policy = [m for m in found.named("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in (policy[0]["content"] or "")


def test_unscreened_stands_at_the_top(job: Opened) -> None:
    text = page(job()).text
    assert text.index("Unscreened for explicit, violence, hate") < text.index("Scores and rules")


def test_parts_that_do_not_exist_are_absent(job: Opened) -> None:
    text = page(job()).text
    assert "Sampled clips" not in text
    assert "Loss by step" not in text


def test_samples_play(job: Opened) -> None:
    run = job()
    folder = sampled(run.out, 26)
    videos = page(run).named("video")
    assert len(videos) == 24
    for place, video in enumerate(videos):
        assert {"autoplay", "loop", "muted", "playsinline"} <= video.keys()
        data = base64.b64decode((video["src"] or "").partition(",")[2])
        assert data == (folder / f"{place:03d}.mp4").read_bytes()


def test_samples_that_are_not_finished_are_not_shown(job: Opened) -> None:
    run = job()
    sampled(run.out, 1)
    (run.out / "snapshots.json").unlink()
    assert page(run).named("video") == []


def test_a_sample_outside_of_its_folder_is_refused(job: Opened) -> None:
    run = job()
    folder = sampled(run.out, 1)
    (folder / "prompts.jsonl").write_text(json.dumps({"path": "../spec.yaml", "prompt": "x"}) + "\n")
    with pytest.raises(StorageError, match="outside of its folder"):
        write_report(run, run.ledger())


def test_a_missing_sample_is_an_error(job: Opened) -> None:
    run = job()
    (sampled(run.out, 1) / "000.mp4").unlink()
    with pytest.raises(StorageError, match=r"000\.mp4 cannot be read"):
        write_report(run, run.ledger())


def test_equal_input_gives_equal_bytes(job: Opened) -> None:
    run = job()
    trained(run.out)
    path = write_report(run, run.ledger())
    first = path.read_bytes()
    path.unlink()
    assert write_report(run, run.ledger()).read_bytes() == first


def test_an_unchanged_run_does_no_work(job: Opened) -> None:
    run = job()
    ledger = run.ledger()
    path = write_report(run, ledger)
    before = path.stat()
    proxies = list((run.out / "stages" / run.plan.tables["frames"].name).glob("*.parquet"))
    for part in proxies:
        part.unlink()  # whoever reads a proxy now finds none
    after = write_report(run, ledger).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    path.unlink()
    with pytest.raises(StorageError, match="cannot be read"):
        write_report(run, ledger)


@pytest.mark.parametrize("change", ["rule", "log", "sheet", "sample", "truncated"])
def test_a_change_is_shown(job: Opened, change: str) -> None:
    run = job()
    log = trained(run.out) / "log.jsonl"
    sampled(run.out, 1)
    first = write_report(run, run.ledger()).read_bytes()
    if change == "rule":
        run = job_again(run, stages(sharpness={"min": 0.05}))
    elif change == "log":
        log.write_text(log.read_text().splitlines()[0] + "\n")
    elif change == "sheet":
        (log.parent / "samples" / "step-00000060").mkdir(parents=True)
        write_image(log.parent / "samples" / "step-00000060" / "sheet.png", np.zeros((20, 30, 3), np.uint8))
        assert "Frames of the samples at step 60" in page(run).named("img")[-1]["alt"]
    elif change == "sample":
        sampled(run.out, 1, prompt="another prompt")
    else:
        (run.out / "report.html").write_bytes(first[: len(first) // 2])
    second = write_report(run, run.ledger()).read_bytes()
    assert second.endswith(b"</html>\n")
    assert (second == first) == (change == "truncated")


def job_again(run: Run, changed: list[dict]) -> Run:
    from curate.spec_file import dump, parse

    again = Run(parse({**dump(run.spec), "stages": changed}))
    again.claim()
    return again


def test_pictures_are_small(job: Opened) -> None:
    pictures = [a["src"] or "" for a in page(job()).named("img")]
    assert pictures
    assert all(len(picture) < 120_000 for picture in pictures)


def test_the_key_stands_in_the_head(job: Opened) -> None:
    run = job()
    head = write_report(run, run.ledger()).read_text()[:600]
    assert re.search(r'<meta name="rushes-report-key" content="[0-9a-f]{32}">', head)
