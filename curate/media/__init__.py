"""The only folder that touches libav."""
