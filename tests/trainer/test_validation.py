"""Validation: its numbers against sums written out, predict-zero against a model that predicts it, and any ranks."""
