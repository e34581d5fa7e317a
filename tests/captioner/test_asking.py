"""Which answer is kept, what is written down of it, and what the stage `check` then says: all from stored columns."""

from __future__ import annotations

import json

import pytest

from captioner.caption import Subject, describe
from curate.captioning import Answer, Asking, Prompt
from curate.plan import Plan
from curate.spec_file import parse
from curate.stage import Left
from curate.stages.check import CheckWork
from tests.conftest import spec_dict

PLAIN = Prompt("plain", "dense", "Describe plainly.", version=2)
FIRST = Prompt("first", "dense", "Describe.", again=PLAIN)
MAN, DOG = "A man walks past a shop and waves at a friend.", "A dog sleeps on a mat beside the door."
OPENER, REFUSAL = "The video shows a man who walks his dog.", "I'm sorry, but I cannot describe this video."
LEAK = "<|im_start|>assistant A man walks his dog."


class Scripted:
    """Gives these answers in their order; texts, or fields of an Answer."""

    name, decoding = "scripted", {}

    def __init__(self, *script, prompt=FIRST):
        self.prompts, self.script = {"dense": prompt}, list(script)

    def about(self, kind):
        return "model", "revision"

    def describe(self, asks, alive):
        for ask in asks:
            said = self.script.pop(0)
            given = {"text": said} if isinstance(said, str) else said
            yield Answer(ask.ref, requests=1, tokens_out=5, **given)


def _described(*script, window_s=None, prompt=FIRST, **facts):
    captioner = Scripted(*script, prompt=prompt)
    asking = Asking(kinds=("dense",), window_s=window_s)
    (row,) = describe(captioner, asking, [Subject("c", {"duration_s": 10.0, **facts})], lambda: None)
    assert not captioner.script, "every answer was asked for"
    return row


def _checked(row, tmp_path, **facts):
    """What the stage makes of the row as it is stored, under the prompts that ship."""
    raw = spec_dict(tmp_path, tmp_path / "out")
    told = ["duration", "camera"] if facts else []
    captions = {"with": "server", "model": "m", "url": "http://127.0.0.1:1/v1", "kinds": ["dense"], "facts": told}
    raw["stages"] = [{"split": {}}, {"score": {"camera": {}}}, {"caption": captions}, {"check": {}}]
    raw = {name: value for name, value in raw.items() if name not in ("train", "sample")}
    stored = {f"caption.{name}": value for name, value in row.items()}
    ((_, found),) = CheckWork(Plan(parse(raw))).run([{"id": "c", "duration_s": 10.0, **facts, **stored}], lambda: None)
    return found["dense"]


@pytest.mark.parametrize(
    ("first", "second", "codes"),
    [
        ("Unable to process the video content.", MAN, ["refusal"]),
        (OPENER, MAN, ["boilerplate"]),
        (OPENER, REFUSAL, ["refusal", "boilerplate"]),
        (MAN, {"text": DOG, "truncated": True}, ["truncated"]),
        (REFUSAL, {"text": DOG, "truncated": True}, ["truncated", "refusal"]),
        (MAN, DOG, []),
    ],
)
def test_each_window_is_checked_on_its_own(first, second, codes, tmp_path):
    row = _described(first, second, window_s=5.0, prompt=Prompt("once", "dense", "Describe."))
    assert [window["text"] for window in row["windows"]] == [first, second if isinstance(second, str) else DOG]
    assert row["dense"].startswith("From 0.0 to 5.0 s: ")
    assert _checked(row, tmp_path) == codes
    assert row["dense_status"] == (codes[0] if set(codes) - {"boilerplate"} else "ok")


def test_length_is_that_of_a_window(tmp_path):
    texts = [
        f"Part {i}: a person with number {i * 7} on the back passes stall {i} of the market and stops before a fruit. "
        f"Behind them the awnings of stall {i + 50} sway, and neighbour {i * 13} waves at friend {i * 17}. Item "
        f"{i * 3} falls off table {i + 90}, rolls under bench {i * 5} and comes to rest by box {i * 19}, near a lamp."
        for i in range(10)
    ]
    row = _described(*texts, window_s=1.0)
    assert len(row["dense"]) > 2500
    assert (_checked(row, tmp_path), row["dense_status"]) == ([], "ok")
    assert _checked({"dense": " ".join(texts), "dense_status": "ok"}, tmp_path) == ["too_long"]


@pytest.mark.parametrize(
    ("script", "kept", "status"),
    [
        ((OPENER, REFUSAL), OPENER, "ok"),
        ((REFUSAL, OPENER), OPENER, "ok"),
        ((OPENER, OPENER + " He waves."), OPENER, "ok"),  # the first of equals
        ((LEAK, REFUSAL), REFUSAL, "refusal"),
        ((REFUSAL, LEAK), REFUSAL, "refusal"),
        ((REFUSAL, "{"), REFUSAL, "refusal"),
        ((OPENER, {"fault": ("caption:refusal", "filter")}), OPENER, "ok"),
        ((OPENER, {"lost": "nobody there"}), OPENER, "ok"),
        (({"fault": ("caption:http_400", "no")},), None, "caption:http_400"),
    ],
)
def test_the_mildest_answer_is_kept(script, kept, status):
    row = _described(*script)
    assert (row["dense"], row["dense_status"], row["dense_asked"]) == (kept, status, len(script))
    texts = [said for said in script if isinstance(said, str)]
    assert [entry["text"] for entry in row["refused"]] == [text for text in texts if text != kept]
    assert row["dense_tokens_out"] == row["tokens_out"] == 5 * len(script)
    assert row.get("outcome") == (None if kept else "quarantined")


def test_a_clip_without_a_usable_answer_waits_where_nobody_could_be_reached():
    assert _described(REFUSAL, {"lost": "nobody there"}) == Left("c", "nobody there")


def test_what_was_measured_is_no_reason_to_ask_again(tmp_path):
    seen = {"gist.colours": ["gray"], "gist.shares": [1.0], "camera.motion": "pan_left", "text_overlay.strings": ["NO"]}
    said = 'A red car waits beside a sign that reads "OPEN". The camera pans right.'
    row = _described(said, **seen)
    assert row == _described(said)
    found = _checked(row, tmp_path, **seen)
    assert found == ["unseen_text", "wrong_colour", "wrong_camera"]


def test_all_prompts_that_were_answered_are_recorded():
    german = Prompt("deutsch", "dense", "Beschreibe.", language="de")
    row = _described(MAN, REFUSAL, DOG, window_s=5.0, prompt=Prompt("first", "dense", "Describe.", again=german))
    assert [p["name"] for p in json.loads(row["prompts"])["dense"]] == ["first"], "the second window's is refused too"
    row = _described(MAN, REFUSAL, DOG, window_s=5.0)
    assert json.loads(row["prompts"])["dense"] == [
        {"name": prompt.name, "version": prompt.version, "sha256": prompt.sha256} for prompt in (FIRST, PLAIN)
    ]


@pytest.mark.parametrize("said", ["Measured camera motion: pan left.", "The clip lasts 10.0 s."])
def test_facts_of_the_prompt_do_not_leak_past_the_stage(said, tmp_path):
    facts = {"camera.motion": "pan_left"}
    row = {"dense": f"{said} A man walks a dog.", "dense_status": "ok"}
    assert _checked(row, tmp_path, **facts) == ["prompt_leak"]
