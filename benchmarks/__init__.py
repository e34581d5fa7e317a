"""Measurements of what the README promises. `python -m benchmarks.NAME --json` prints one JSON object last."""
