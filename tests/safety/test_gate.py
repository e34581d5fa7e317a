"""From the values of screens to what becomes of clips, through whole runs with a stand-in for what is harmful: glow."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from benchmarks.chat_server import ChatServer
from curate.media.writer import write_mp4
from tests.conftest import rushes, scene, write_clip

SEALED = {"policy": "hold", "contact": "safety@example.org"}


def _glowing(path, level, seconds=2.0, span=(0.5, 1.0), seed=2, fps=8.0):
    """A scene that is white, at this level of 0..1, for a span of seconds."""
    frames = scene(seed, frames=round(seconds * fps))
    frames[round(span[0] * fps) : round(span[1] * fps)] = round(255 * level)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mp4(path, frames, fps)


def _manifest(folder, rows):
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "manifest.jsonl"


def test_a_moment_takes_a_clip_out_and_its_span_is_the_evidence(gate):
    write_clip(gate.footage / "good.mp4", (1,))
    _glowing(gate.footage / "bad.mp4", 0.97, span=(0.9, 1.6))
    found = gate.run({"explicit": ["glow"]})
    assert found["funnel"] == {"kept": 1, "explicit:glow": 1}
    (row,) = [row for row in gate.ledger() if row["outcome"] == "rejected"]
    evidence = json.loads(row["evidence"])
    assert (evidence["from_s"], evidence["to_s"]) == (1.0, 1.5)
    assert evidence["value"] > evidence["threshold"] == 0.8


def test_the_first_and_the_last_frame_are_looked_at(gate):
    _glowing(gate.footage / "last.mp4", 1.0, seconds=2.375, span=(2.25, 2.375))
    _glowing(gate.footage / "between.mp4", 1.0, span=(0.625, 0.75), seed=4)
    rows = {row["url"].rsplit("/", 1)[1]: row for row in (gate.run({"hate": ["glow"]}), gate.ledger())[1]}
    assert rows["last.mp4"]["reason"] == "hate:glow"
    assert rows["between.mp4"]["outcome"] == "kept", "what is shorter than the gap can be missed: the receipt says so"


def test_a_threshold_is_policy_and_costs_no_decoding(gate):
    _glowing(gate.footage / "a.mp4", 0.75)
    assert gate.run({"violence": ["glow"]})["funnel"] == {"kept": 1}
    strict = gate.run({"violence": ["glow"], "profile": "strict"})
    assert strict["funnel"] == {"violence:glow": 1}
    assert not {"split", "measure"} & strict["computed"].keys()
    assert "no 'sane'" in gate.run({"violence": ["glow"], "profile": "sane"}, code=2)["said"]


def test_actions_of_the_policy(gate):
    _glowing(gate.footage / "a.mp4", 0.95)
    gate.policy["categories"]["gore"]["action"] = "review"
    assert gate.run({"gore": ["glow"]})["funnel"] == {"gore:review": 1}
    assert gate.run({"self_harm": ["glow"]})["funnel"] == {"self_harm:glow": 1}
    assert gate.run({"weapons": ["glow"]})["funnel"] == {"kept": 1}
    assert gate.ledger()[0]["tags"] == ["weapons"]
    assert "has no category 'gor'" in gate.run({"gor": ["glow"]}, code=2)["said"]


def test_siblings_of_a_rejected_clip_are_tagged(gate):
    gate.footage.mkdir()
    frames = np.concatenate([scene(1), scene(4), scene(5)])
    frames[20:26] = 255
    write_mp4(gate.footage / "three.mp4", frames, 8.0)
    gate.run({"explicit": ["glow"]}, stages={"split": {"detector": "fixed", "min_s": 0.5, "max_s": 2.0}})
    rows = sorted(gate.ledger(), key=lambda row: row["start_s"])
    assert [row["outcome"] for row in rows] == ["kept", "rejected", "kept"]
    assert [row["tags"] for row in rows] == [["source:explicit"], [], ["source:explicit"]]


def test_what_looks_like_a_rejected_clip_is_not_kept(gate):
    """The same scene again, of less quality and with its bad moment cut short between two looks."""
    for name, span, crf in (("bad", (0.5, 1.0), 18), ("like", (0.625, 0.75), 30)):
        frames = scene(4, frames=32)
        frames[round(8 * span[0]) : round(8 * span[1])] = 255
        gate.footage.mkdir(exist_ok=True)
        write_mp4(gate.footage / f"{name}.mp4", frames, 8.0, crf=crf)
    write_clip(gate.footage / "good.mp4", (1,), frames=32)
    found = gate.run({"explicit": ["glow"]})
    assert found["funnel"] == {"kept": 1, "explicit:glow": 1, "near:explicit": 1}
    assert gate.run({"explicit": ["glow"]})["computed"] == {}


def test_terms_of_any_text_that_came_with_the_footage(gate):
    for seed in range(1, 6):
        write_clip(gate.footage / f"{seed}.mp4", (seed,))
    timed = [
        {"start_s": 0.0, "end_s": 0.5, "text": "a snuff film"},
        {"start_s": 5.0, "end_s": 6.0, "text": "beheading"},
    ]
    rows = [
        {"path": "footage/1.mp4", "original_caption": "a man raises a H\u0430kenkreuz"},
        {"path": "footage/2.mp4", "title": "SIEG HEIL"},
        {"path": "footage/3.mp4", "transcript": timed},
        {"path": "footage/4.mp4", "original_caption": "a Hindu swastika on a temple door"},
        {"path": "footage/5.mp4", "transcript": [timed[1]]},
    ]
    found = gate.run({"hate": ["terms"], "violence": ["terms"]}, source=_manifest(gate.folder, rows))
    assert found["funnel"] == {"kept": 2, "hate:terms": 2, "violence:terms": 1}
    said = {json.loads(r["evidence"])["text"]: json.loads(r["evidence"])["term"] for r in gate.ledger() if r["reason"]}
    assert said == {"caption": "hakenkreuz", "title": "sieg heil", "transcript": "snuff film"}


def test_a_caption_that_a_model_writes_reopens_the_verdict(gate):
    write_clip(gate.footage / "a.mp4", (1,))
    lists = gate.folder / "own.yaml"
    entries = [{"term": word} for word in ("close view", "frame", "colour", "picture", "camera", "background")]
    raw = {"name": "own", "source": "me", "language": "en", "category": "hate", "entries": entries}
    lists.write_text(yaml.safe_dump(raw))
    found = gate.run({"hate": [{"terms": {"lists": [str(lists)]}}]}, until="encode")
    assert found["funnel"] == {"terms:caption": 1}
    assert "encode" not in found["computed"], "nothing of a clip is encoded that its caption stops"


class Saying(ChatServer):
    """Says these captions and texts, one answer after the other; the last again and again."""

    def __init__(self, *said):
        super().__init__()
        self.said = list(said)

    def _said(self, body, ref):
        caption, visible = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {})
        empty = {name: [] if kind.get("type") == "array" else "" for name, kind in schema.items()}
        answer = {**empty, "caption": caption, "visible_text": visible}
        text = json.dumps({**answer, "ref": schema["ref"]["const"]}) if schema else caption
        return {"id": ref, "choices": [{"message": {"content": text}, "finish_reason": "stop"}]}


def test_all_that_a_model_says_is_held_against_the_terms(gate):
    """What stands beside a caption, and an answer that is not used; the captions themselves are the same, and good."""
    wall, sorry = "A man walks past a wall.", "I'm sorry, but I cannot describe a H\u0430kenkreuz."
    for seed in (1, 2, 3):
        write_clip(gate.footage / f"{seed}.mp4", (seed,))
    with Saying((wall, ["HAKENKREUZ"]), (sorry, []), (wall, [])) as server:
        asks = {"with": "server", "model": "tiny", "url": server.url, "in_flight": 1, "kinds": ["dense"]}
        found = gate.run({"hate": ["terms"]}, until="encode", stages={"caption": asks})
    assert found["funnel"] == {"kept": 1, "terms:caption": 2}
    assert {row["caption.dense"] for row in gate.ledger()} == {wall}


def test_a_minor_signal_tightens_and_with_sexual_content_seals(gate):
    _glowing(gate.footage / "plain.mp4", 0.75, seed=2)
    _glowing(gate.footage / "sexual.mp4", 0.68, seed=4)
    _glowing(gate.footage / "adult.mp4", 0.68, seed=6)
    rows = [
        {"path": "footage/plain.mp4", "original_caption": "a toddler"},
        {"path": "footage/sexual.mp4", "original_caption": "a teenager"},
        {"path": "footage/adult.mp4", "original_caption": "a woman"},
    ]
    manifest = _manifest(gate.folder, rows)
    assert gate.run({"violence": ["glow"]}, source=manifest)["funnel"] == {"kept": 3}
    tight = gate.run({"violence": ["glow"], "minors": ["terms"]}, source=manifest)
    assert tight["funnel"] == {"kept": 1, "violence:glow": 2}, "0.65 holds for those with a signal"
    asked = {"explicit": ["glow"], "minors": ["terms"]}
    assert "sexual content with a minor signal can seal" in gate.run(asked, source=manifest, code=2)["said"]
    found = gate.run({**asked, "sealed": SEALED}, source=manifest)
    assert found["funnel"] == {"kept": 1, "sealed:minors": 2}
    text = json.dumps(gate.ledger())
    assert "sexual.mp4" not in text
    assert "teenager" not in text
    listed = json.loads(rushes("sealed", gate.out, "--json", env=gate.env, cwd=gate.folder).stdout)["sealed"]
    refused = rushes("sealed", gate.out, "--clear", listed[0]["incident"], "--by", "ann", env=gate.env, cwd=gate.folder)
    assert (refused.returncode, "nothing else is released" in refused.stderr) == (2, True)


@pytest.mark.parametrize("frames", [1, 2])
def test_an_image_and_a_clip_of_two_frames_are_judged(gate, frames):
    from curate.media.writer import write_image

    gate.footage.mkdir()
    white = np.full((frames, 64, 96, 3), 255, np.uint8)
    if frames == 1:
        write_image(gate.footage / "a.png", white[0])
    else:
        write_mp4(gate.footage / "a.mp4", white, 8.0)
    split = {"detector": "fixed", "min_s": 0}
    assert gate.run({"explicit": ["glow"]}, stages={"split": split})["funnel"] == {"explicit:glow": 1}


def test_a_text_screen_that_fails_keeps_nothing_that_it_should_have_read(gate):
    """One text that it cannot bear costs the clips of that text, and no other."""
    (gate.folder / "filters" / "touchy.py").write_text(
        """
from filters.terms import Terms


class Touchy(Terms):
    name = "touchy"

    def judge(self, texts):
        if "bang" in "".join(texts.values()):
            raise ValueError("cannot read this")
        return super().judge(texts)
"""
    )
    for category in gate.policy["categories"].values():
        category["screens"]["touchy"] = {"lenient": 1.0, "standard": 1.0, "strict": 1.0}
    for seed in (1, 2, 3):
        write_clip(gate.footage / f"{seed}.mp4", (seed,))
    captions = {1: "a quiet street", 2: "a bang", 3: "a swastika"}
    rows = [{"path": f"footage/{n}.mp4", "original_caption": text} for n, text in captions.items()]
    found = gate.run({"hate": ["touchy"]}, source=_manifest(gate.folder, rows))
    assert found["funnel"] == {"kept": 1, "hate:no_verdict:score:error:ValueError": 1, "hate:touchy": 1}
