"""Trains and samples a video diffusion transformer on an exported dataset."""
