"""What every benchmark prints last: one JSON object with name, value, unit and yardstick."""

from __future__ import annotations

import json
from typing import Any


def show(name: str, value: Any, unit: str, yardstick: str, **more: Any) -> None:
    """Print the closing line."""
    print(json.dumps({"name": name, "value": value, "unit": unit, "yardstick": yardstick, **more}))
