"""Procedural worlds: footage whose truth is known, made on demand. A world is a class with `name` and `write`."""
