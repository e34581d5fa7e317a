"""Make the README's pictures from a finished run: `python docs/images/make.py runs/quickstart` (needs Chromium).

funnel.png is the funnel of the run's report; samples.png shows four frames of each sampled clip beside its prompt.
Use generated footage only: pictures of real footage do not belong into the repository.
"""

from __future__ import annotations

import base64
import html
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).parent
WIDTH = 1000
FRAMES, SIDE = 4, 96  # frames of a clip, pixels of their shorter side
GRID = ".s{display:grid;grid-template-columns:1fr 1fr;gap:16px 36px}.s img{display:block}.s p{margin:4px 0 0}"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
    "--hide-scrollbars",
)


def main(out: Path) -> None:
    """Write both pictures beside this file."""
    report = (out / "report.html").read_text(encoding="utf-8")
    style = between(report, "<style>", "</style>") + "main{padding:20px}section{margin:0}"
    funnel = '<section id="funnel">' + between(report, '<section id="funnel">', "</section>") + "</section>"
    draw(f"<style>{style}</style><main>{funnel}</main>", HERE / "funnel.png")
    lines = (out / "samples" / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    rows = "".join(row(out / "samples", json.loads(line)) for line in lines)
    draw(f"<style>{style}{GRID}</style><main><div class='s'>{rows}</div></main>", HERE / "samples.png")


def between(text: str, start: str, end: str) -> str:
    """What stands between two marks."""
    return text.partition(start)[2].partition(end)[0]


def row(folder: Path, line: dict) -> str:
    """Frames of one clip, evenly spaced from first to last, over its prompt."""
    frames = []
    film = cv2.VideoCapture(str(folder / line["path"]))
    while (read := film.read())[0]:
        frames.append(read[1])
    shown = [frames[i] for i in np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)]
    scale = SIDE / min(shown[0].shape[:2])
    size = (round(shown[0].shape[1] * scale), round(shown[0].shape[0] * scale))
    gap = np.full((size[1], 6, 3), 255, np.uint8)
    strip = [part for frame in shown for part in (cv2.resize(frame, size, interpolation=cv2.INTER_NEAREST), gap)][:-1]
    data = base64.b64encode(cv2.imencode(".png", np.concatenate(strip, axis=1))[1].tobytes()).decode()
    return f"<div><img src='data:image/png;base64,{data}'><p>{html.escape(line['prompt'])}</p></div>"


def draw(page: str, path: Path) -> None:
    """Render a page and cut away what is empty below it."""
    browser = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if browser is None:
        sys.exit("no Chromium found: " + ", ".join(CHROMIUM))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "page.html"
        source.write_text(f"<!doctype html><meta charset=utf-8>{page}", encoding="utf-8")
        size = f"--window-size={WIDTH},2000"
        profile = f"--user-data-dir={folder}/profile"
        subprocess.run(
            [browser, *FLAGS, profile, size, f"--screenshot={path}", source.as_uri()], check=True, capture_output=True
        )
    picture = cv2.imread(str(path))
    used = np.flatnonzero((picture != picture[-1, 0]).any(axis=(1, 2)))
    cv2.imwrite(str(path), picture[: used[-1] + 20], [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
