"""The captioner `server` against a real server: every caption on its own clip, whatever the server does."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from aiohttp import web

from benchmarks.chat_server import ChatServer, levels
from captioner.caption import Subject, describe
from captioner.server import Server
from curate.captioning import Asking, Pictures
from curate.errors import SpecError, StageCrashed
from curate.stage import Left

ONCE = Asking(again=1)
ALL = {"429": 0.1, "500": 0.1, "cut": 0.1, "no_json": 0.1, "other_form": 0.05, "wrong_schema": 0.1}
SWAPS = {"swapped": 0.2, "swapped_body": 0.2, "no_ref": 0.3}


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


def _are_their_own(rows):
    return all(abs(level - int(clip[4:])) <= 1 for clip, level in _levels(rows).items() if level is not None)


@pytest.mark.parametrize("echoes", [False, True])
def test_answers_that_a_server_mixes_up_are_asked_for_again(echoes):
    """By what an answer is named after, and by the ref in it."""
    with ChatServer(faults=SWAPS, worst=2, latency_s=(0.02, 0.05), echoes=echoes) as server:
        rows = _described(server, [_subject(n) for n in range(10, 200, 5)], Asking(again=4, kinds=("short",)))
    assert len(rows) == 38
    assert {row["short_status"] for row in rows} == {"ok"}
    assert _are_their_own(rows)
    assert set(server.given) == set(SWAPS)
    assert {code for row in rows for entry in row["refused"] for code in entry["codes"]} == {
        "other_clip",
        "wrong_schema",
    }


def test_a_server_that_always_names_another_request_is_believed_for_none():
    with ChatServer(faults={"swapped": 1.0}, worst=10**6, latency_s=(0.05, 0.05)) as server:
        rows = _described(server, [_subject(n) for n in range(10, 200, 20)], Asking(kinds=("short",)), tries=1)
    left = [row for row in rows if isinstance(row, Left)]
    assert len(left) == server.given["swapped"] >= 5
    assert _are_their_own([row for row in rows if not isinstance(row, Left)])
    assert "the answer to another request" in str(left[0])


def test_a_caption_of_another_clip_is_none():
    with ChatServer(faults={"swapped_body": 1.0}, worst=10**6, latency_s=(0.05, 0.05)) as server:
        rows = _described(server, [_subject(n) for n in range(10, 200, 20)], Asking(again=0, kinds=("short",)))
    wrong = [row for row in rows if row["short_status"] == "other_clip"]
    assert len(wrong) == server.given["swapped_body"] >= 5
    assert all(row["short"] is None for row in wrong)
    assert _are_their_own(rows)


def test_an_answer_under_a_schema_says_what_it_answers():
    with ChatServer(faults={"no_ref": 1.0}, worst=10**6) as server:
        (row,) = _described(server, [_subject(40)], Asking(again=0))
        assert (row["short"], row["short_status"]) == (None, "wrong_schema")
        (row,) = _described(server, [_subject(40)])
    assert (row["short_status"], row["short_asked"]) == ("ok", 2), "in plain text, which has no ref"


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
    assert set(server.requests.values()) == {2}, "once as it is, once without its schema; more would not help"


@pytest.mark.parametrize("status", ["413", "422"])
def test_a_request_of_a_clip_that_is_too_much_is_one_faulty_row(status):
    with ChatServer(faults={status: 1.0}, worst=10**6) as server:
        (row,) = _described(server, [_subject(40)])
    assert (row["outcome"], row["reason"]) == ("quarantined", f"caption:http_{status}")


@pytest.mark.parametrize("status", ["501", "520", "524", "529"])
def test_every_fault_of_a_server_is_tried_again(status):
    with ChatServer(faults={status: 1.0}, worst=1) as server:
        (row,) = _described(server, [_subject(40)])
    assert row["short_status"] == "ok"
    assert set(server.requests.values()) == {2}


@pytest.mark.parametrize("status", ["301", "402", "404", "405", "418"])
def test_a_wrong_address_model_or_account_is_the_fault_of_no_clip(status):
    with ChatServer(faults={status: 1.0}, worst=10**6) as server, pytest.raises(StageCrashed, match=f"HTTP {status}"):
        _described(server, [_subject(40)])


def test_a_server_without_schemas_ends_the_run_and_says_what_to_set():
    with ChatServer(schemas=False) as server:
        with pytest.raises(StageCrashed, match=r"set `guided: false` .*json_schema is not supported"):
            _described(server, [_subject(40)])
        (row,) = _described(server, [_subject(40)], guided=False)
    assert row["short_status"] == "ok"


def test_one_refused_clip_is_no_sign_that_a_server_knows_no_schemas():
    """Once an answer came under a schema, a request that is refused with its schema alone is that clip's."""
    with ChatServer() as server:
        known = list(_described(server, [_subject(40)], in_flight=1))
        assert known[0]["short_status"] == "ok"

        async def picky(body, _says=server._answer):
            told = await body.json()
            refuses = "response_format" in told and levels(told)[0] == 41
            return web.Response(status=400) if refuses else await _says(body)

        server._answer = picky
        rows = {row["clip_id"]: row for row in _described(server, [_subject(40), _subject(41)], in_flight=1)}
    assert rows["clip41"]["reason"] == "caption:http_400"
    assert rows["clip40"]["short_status"] == "ok"


@pytest.mark.parametrize("status", ["401", "403"])
def test_a_key_that_is_refused_is_the_fault_of_no_clip(status):
    with ChatServer(faults={status: 1.0}, worst=10**6) as server, pytest.raises(StageCrashed, match="refuses the key"):
        _described(server, [_subject(40)])


def test_clips_follow_no_redirect():
    redirected = pytest.raises(StageCrashed, match="HTTP 307")
    with ChatServer() as other, ChatServer(moved=other.url) as server, redirected:
        _described(server, [_subject(40)])
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


def test_a_server_that_answers_steadily_is_at_work():
    """Each answer comes within a second, all of them take longer: a worker that says nothing would be stalled."""
    beats = []
    with ChatServer(latency_s=(0.1, 0.1)) as server:
        captioner = Server("tiny", server.url, in_flight=1)
        subjects = [_subject(n) for n in range(40, 45)]
        rows = list(describe(captioner, Asking(kinds=("short",)), subjects, lambda: beats.append(1)))
    assert len(beats) >= len(rows) == 5


def test_the_server_must_have_the_model():
    with ChatServer() as server:
        Server("tiny", server.url).ready()
        with pytest.raises(SpecError, match="serves tiny, not 'other'"):
            Server("other", server.url).ready()
        with pytest.raises(SpecError, match="HTTP 404"):
            Server("tiny", server.url.removesuffix("/v1")).ready()
        with pytest.raises(SpecError, match="lists no models"):
            Server("tiny", server.url.replace("/v1", "/empty")).ready()


def test_the_key_comes_from_the_environment_alone(monkeypatch):
    with ChatServer() as server:
        with pytest.raises(ValueError, match="SOME_KEY is not set"):
            Server("tiny", server.url, key_env="SOME_KEY")
        monkeypatch.setenv("SOME_KEY", "secret")
        _described(server, [_subject(40)], key_env="SOME_KEY")
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer secret"}


@pytest.mark.parametrize("status", ["400", "404", "500"])
def test_the_key_is_in_no_message_and_no_row(monkeypatch, status):
    """The server repeats the key where it refuses."""
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    with ChatServer(faults={status: 1.0}, worst=10**6) as server:
        try:
            said = repr(_described(server, [_subject(40)], key_env="SOME_KEY", tries=1))
        except StageCrashed as error:
            said = str(error)
    assert server.requests
    assert status in said
    assert "sk-secret" not in said
    assert "Bearer ***" in said or status == "500"


@pytest.mark.parametrize(
    "url",
    [
        "https://bob:hunter2@host/v1",
        "https://host/v1?api_key=hunter2",
        "https://host/v1#hunter2",
        "hunter2",
        "ftp://h/v1",
    ],
)
def test_a_url_that_carries_secrets_or_is_none_is_refused_and_not_repeated(url):
    with pytest.raises(ValueError, match="url: ") as refused:
        Server("m", url, allow_remote=True)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("usage", [{"prompt_tokens": n} for n in (float("inf"), 10**30, -3, "12", None)] + [[1], None])
def test_what_a_server_says_of_tokens_is_held_to_reason(usage):
    with ChatServer(usage=usage) as server:
        (row,) = _described(server, [_subject(40)], Asking(kinds=("short",)))
    assert (row["short_status"], row["tokens_in"], row["tokens_out"]) == ("ok", 0, 0)


@pytest.mark.parametrize("guided", [True, False])
def test_half_a_character_is_storable_and_known_as_a_fault(guided):
    with ChatServer(says="A man \ud83d walks along a wide street.") as server:
        (row,) = _described(server, [_subject(40)], guided=guided)
    assert row["short_status"] == "not_utf8"
    assert row["short"] == "A man \ufffd walks along a wide street."
    json.dumps(row, ensure_ascii=False).encode()


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
