"""Command line of the shapes world: `python -m worlds.shapes --out DIR --seed 1 --files 300`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from curate.errors import RushesError
from worlds.shapes import Shapes, ShapesOptions, prompts


def parser() -> argparse.ArgumentParser:
    """One flag per option; those that are a range or a size take two values."""
    made = argparse.ArgumentParser(prog="python -m worlds.shapes", description="Write a world of moving shapes.")
    made.add_argument("--out", type=Path, required=True, help="folder to write to")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--prompts", type=int, default=0, metavar="N", help="also write N requests to prompts.jsonl")
    for name, field in ShapesOptions.model_fields.items():
        pair = isinstance(field.default, tuple)
        parse = type(field.default[0] if pair else field.default)
        flag = f"--{name.replace('_', '-')}"
        help_text = f"{field.description} (default {field.default})"
        made.add_argument(flag, type=parse, nargs=2 if pair else None, help=help_text, default=argparse.SUPPRESS)
    return made


def main(argv: list[str] | None = None) -> int:
    """Write the world; returns the exit code."""
    args = vars(parser().parse_args(argv))
    out, seed, count = args.pop("out"), args.pop("seed"), args.pop("prompts")
    try:
        manifest = Shapes(**args).write(out, seed)
    except RushesError as error:
        print(f"worlds.shapes: {error}", file=sys.stderr)
        return error.exit_code
    print(manifest)
    if count:
        rows = "".join(json.dumps(row) + "\n" for row in prompts(count, seed))
        (out / "prompts.jsonl").write_text(rows, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
