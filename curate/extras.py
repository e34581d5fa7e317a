"""What a file that needs an extra checks when it is imported, which is when a spec names it."""

from __future__ import annotations

from importlib.util import find_spec


def require(package: str, extra: str) -> None:
    """Raise an ImportError that names the extra if a package is not installed; nothing is imported."""
    if find_spec(package) is None:
        raise ModuleNotFoundError(f"{package} is not installed; pip install 'rushes[{extra}]'", name=package)
