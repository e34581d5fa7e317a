"""The tutorial's filter works as it stands there: one file under 60 lines and one YAML line."""

from __future__ import annotations

import json
import re
import shutil

import pyarrow.parquet as pq

from tests.conftest import REPO, rushes, spec_dict, write_spec


def test_the_tutorials_filter(footage, tmp_path):
    text = (REPO / "docs" / "tutorial-first-filter.md").read_text()
    name, code = re.search(r"```python\n# filters/(\w+)\.py\n(.*?)```", text, re.DOTALL).groups()
    line = re.search(r"```yaml\n(.*?)```", text, re.DOTALL).group(1)
    assert code.count("\n") + 1 < 60
    assert not (REPO / "filters" / f"{name}.py").exists()
    shutil.copytree(REPO / "filters", tmp_path / "filters")
    (tmp_path / "filters" / f"{name}.py").write_text(code)
    raw = spec_dict(footage, tmp_path / "out")
    assert name in line
    raw["stages"] = [raw["stages"][0], {"score": ["motion", name]}]
    env = {"PYTHONPATH": str(tmp_path)}
    done = rushes("run", write_spec(tmp_path / "s.yaml", raw), "--until", "dedup", "--json", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {row["outcome"] for row in json.loads(done.stdout)["funnel"]} == {"kept", "duplicate"}
    ledger = pq.read_table(tmp_path / "out" / "ledger.parquet")
    clips = ledger["clip_id"].to_pylist()
    assert ledger[f"{name}.score"].null_count == sum(clip is None for clip in clips) < len(clips)
    tried = json.loads(rushes("try", name, footage / "one.mp4", "--json", env=env, cwd=tmp_path).stdout)
    assert tried["results"][0]["outcome"] == "ok"
