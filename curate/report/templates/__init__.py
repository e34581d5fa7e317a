"""Jinja templates of the report: layout only. A package, so that they are installed with the code."""
