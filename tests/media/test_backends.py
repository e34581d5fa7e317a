"""Back ends: the same span gives the same frames, and decord is refused where it would give others."""

from __future__ import annotations

import numpy as np
import pytest

from curate.errors import InputRejected
from curate.media.facts import Fit, Job
from curate.media.reader import Reader
from curate.stage import Frames
from tests.conftest import scene
from tests.media.test_odd_sources import _write

pytest.importorskip("decord", reason="the extra `decord` is not installed: pip install 'rushes[decord]'")


@pytest.fixture(scope="module")
def readers():
    made = Reader(), Reader(back_end="decord")
    yield made
    for reader in made:
        reader.close()


@pytest.mark.parametrize(
    ("suffix", "pts", "options"),
    [
        ("mp4", None, {"bf": "3", "g": "12"}),
        ("mp4", np.cumsum([1 + n * 7 % 5 for n in range(40)]).tolist(), {}),
        ("mp4", list(range(2400, 2440)), {"bf": "2"}),
        ("mkv", None, {"g": "250"}),
    ],
)
def test_the_same_span_gives_the_same_frames(readers, tmp_path, suffix, pts, options):
    path = str(_write(tmp_path / f"a.{suffix}", scene(1, frames=40), pts=pts, options=options))
    view = Frames(4, 32)
    whole = list(readers[0].frames(path, Job("full", views=(view,), fit=Fit(10_000, 1))))
    for first, last in ((0, 40), (0, 9), (13, 31), (39, 40)):
        end = whole[last].pts if last < 40 else None
        job = Job("full", whole[first].pts, end, views=(view,), fit=Fit(10_000, 1))
        one, two = (list(reader.frames(path, job)) for reader in readers)
        assert [f.pts for f in one] == [f.pts for f in two] == [f.pts for f in whole[first:last]]
        for a, b, c in zip(one, two, whole[first:last], strict=True):
            assert np.array_equal(a.fitted, c.fitted)
            assert np.abs(a.fitted.astype(int) - b.fitted).max() <= 2
            assert a.views.keys() == b.views.keys()
    assert readers[0].probe(path) == readers[1].probe(path)


def test_decord_is_refused_where_it_lands_on_wrong_frames(readers, tmp_path):
    path = str(_write(tmp_path / "a.ts", scene(1, frames=12)))
    assert len(list(readers[0].frames(path, Job()))) == 12
    with pytest.raises(InputRejected) as caught:
        list(readers[1].frames(path, Job()))
    assert caught.value.reason == "decode:backend"
