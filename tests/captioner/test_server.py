"""The captioner `server` against a real server: every caption on its own clip, whatever the server does."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from benchmarks.chat_server import ChatServer
from captioner.caption import Subject, describe
from captioner.server import Server
from curate.captioning import Asking, Pictures
from curate.errors import SpecError, StageCrashed
from curate.stage import Left

ONCE = Asking(again=1)
ALL = {"429": 0.1, "500": 0.1, "cut": 0.1, "no_json": 0.1, "other_form": 0.05, "wrong_schema": 0.1}


def _subject(number):
    """A clip whose frames are of one colour that says its number."""
    frame = np.full((32, 32, 3), number, np.uint8)
    jpeg = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    return Subject(f"clip{number}", {"duration_s": 2.0}, Pictures((jpeg, jpeg), (0.0, 0.5)))


def _levels(rows, kind="short"):
    return {row["clip_id"]: row[kind] and int(row[kind].split()[-1].rstrip(".")) for row in rows}


def _described(server, subjects, asking=ONCE, **params):
    params = {"in_flight": 16, "timeout_s": 5.0, "tries": 8, **params}
    captioner = Server(server.model, server.url, **params)
    return list(describe(captioner, asking, subjects, lambda: None))


@pytest.mark.parametrize("echoes", [False, True])
def test_every_caption_is_on_its_own_clip_whatever_goes_wrong(echoes):
    with ChatServer(faults=ALL, worst=2, latency_s=(0.0, 0.05), echoes=echoes) as server:
        rows = _described(server, [_subject(n) for n in range(10, 90)], Asking(again=4))
    assert [row["clip_id"] for row in rows] != sorted(row["clip_id"] for row in rows), "they come as they are ready"
    assert len(rows) == len({row["clip_id"] for row in rows}) == 80
    for kind in ("short", "dense"):
        assert all(abs(level - int(clip[4:])) <= 1 for clip, level in _levels(rows, kind).items())
    assert server.given.keys() == ALL.keys()
    assert server.most_open <= 16
    assert max(server.requests.values()) <= 8


def test_what_the_record_says():
    with ChatServer() as server:
        (row,) = _described(server, [_subject(40)], Asking(facts=("duration",)))
    assert (row["model"], row["language"], row["short_status"]) == ("tiny", "en", "ok")
    assert (row["tokens_in"], row["tokens_out"], row["requests"]) == (200, 20, 2)
    assert (row["short_tokens_in"], row["dense_tokens_out"], row["dense_requests"]) == (100, 10, 1)
    assert [prompt["name"] for prompt in json.loads(row["prompts"])["dense"]] == ["dense"]
    assert json.loads(row["decoding"]) == {"max_tokens": 512, "temperature": 0.0, "seed": 0}
    assert set(json.loads(row["dense_fields"])) >= {"subject", "camera_motion", "visible_text"}
    assert row["frames"] == _subject(40).pictures.digest
    assert "The clip lasts 2.0 s." in server.bodies[0]["messages"][-1]


def test_a_server_that_does_not_decode_under_a_schema_is_asked_again_in_plain_words():
    with ChatServer() as server:
        (row,) = _described(server, [_subject(40)], guided=False)
    assert _levels([row]) == {"clip40": 40}
    assert (row["short_asked"], row["short_status"]) == (2, "ok")
    assert [entry["codes"] for entry in row["refused"]] == [["wrong_schema"], ["wrong_schema"]]
    assert not any("response_format" in body for body in server.bodies)


def test_an_answer_that_never_fits_is_no_caption_and_costs_no_other_clip():
    with ChatServer(faults={"wrong_schema": 1.0}, worst=10**6) as server:
        (row,) = _described(server, [_subject(40)])
    assert (row["short"], row["short_status"], row["short_asked"]) == (None, "wrong_schema", 2)


@pytest.mark.parametrize("fault", ["500", "429", "cut", "no_json"])
def test_a_clip_that_nobody_answers_for_is_left_for_the_next_run(fault):
    with ChatServer(faults={fault: 1.0}, worst=10**6) as server:
        (left,) = _described(server, [_subject(40)], tries=2)
    assert isinstance(left, Left)
    assert left.id == "clip40"
    assert set(server.requests.values()) == {2}


def test_a_request_that_the_server_refuses_is_one_faulty_row():
    with ChatServer(faults={"400": 1.0}, worst=10**6) as server:
        (row,) = _described(server, [_subject(40)])
    assert (row["outcome"], row["reason"]) == ("quarantined", "caption:http_400")
    assert set(server.requests.values()) == {1}, "asking again would not help"


@pytest.mark.parametrize("status", ["401", "403"])
def test_a_key_that_is_refused_is_the_fault_of_no_clip(status):
    with ChatServer(faults={status: 1.0}, worst=10**6) as server, pytest.raises(StageCrashed, match="refuses the key"):
        _described(server, [_subject(40)])


def test_clips_follow_no_redirect():
    with ChatServer() as other, ChatServer(moved=other.url) as server:
        (row,) = _described(server, [_subject(40)])
    assert row["reason"] == "caption:http_307"
    assert not other.requests


def test_a_frame_that_is_no_picture_costs_its_own_clip():
    bad = Subject("bad", {"duration_s": 2.0}, Pictures((b"no", b"no"), (0.0, 0.5), (0.1, 0.0, 0.9, 1.0)))
    with ChatServer() as server:
        rows = {row["clip_id"]: row for row in _described(server, [bad, *(_subject(n) for n in range(40, 60))])}
    assert rows["bad"]["reason"] == "caption:frame"
    assert len(rows) == 21
    assert server.requests.total() == 40, "nobody else is asked about twice"


def test_a_slow_server_is_waited_for_and_a_dead_one_is_not():
    beats = []
    with ChatServer(latency_s=(1.5, 1.5)) as server:
        rows = list(describe(Server("tiny", server.url), Asking(), [_subject(40)], lambda: beats.append(1)))
    assert rows[0]["short_status"] == "ok"
    assert beats, "somebody is told that progress is made"
    with pytest.raises(SpecError, match="nobody answers"):
        Server("tiny", server.url).ready()


def test_the_server_must_have_the_model():
    with ChatServer() as server:
        Server("tiny", server.url).ready()
        with pytest.raises(SpecError, match="serves tiny, not 'other'"):
            Server("other", server.url).ready()


def test_the_key_comes_from_the_environment_alone(monkeypatch):
    with ChatServer() as server:
        with pytest.raises(ValueError, match="SOME_KEY is not set"):
            Server("tiny", server.url, key_env="SOME_KEY")
        monkeypatch.setenv("SOME_KEY", "secret")
        _described(server, [_subject(40)], key_env="SOME_KEY")
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer secret"}


@pytest.mark.parametrize("url", ["https://api.example.org/v1", "http://10.0.0.1/v1", "http://127.0.0.1.example.org/v1"])
def test_clips_leave_the_host_only_when_told_to(url):
    with pytest.raises(ValueError, match="allow_remote"):
        Server("m", url)
    assert Server("m", url, allow_remote=True).leaves_the_host


def test_scheduling_is_no_part_of_what_a_caption_is(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "secret")
    one = Server("m", "http://127.0.0.1:1/v1")
    two = Server("m", "http://localhost:2/v1", in_flight=2, timeout_s=1.0, tries=1, key_env="SOME_KEY")
    assert one.identity() == two.identity()
    assert one.identity() != Server("m", "http://127.0.0.1:1/v1", temperature=0.5).identity()
