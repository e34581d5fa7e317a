"""Heads: small classifiers on frozen features, trained by a recipe that measures itself (requirements Q7 to Q13).

encoders.py     frozen features of pictures
labels.py       who said what of which item, append-only
fit.py          linear and RBF heads, and what they say of new features
calibrate.py    the threshold for a share of misses, with its bound
loops.py        what to label next: loop A, loop B, the boundary
cutpaste.py     positives that fill a fifth of a picture, with matched negatives
artifact.py     a head as one safetensors file, with everything that it rests on
recipe.py       the folder that a person works in, step by step
sheet.py        contact sheets to label from

Legend: N pictures or items, T frames, K crops, D features, H, W, C pixels.
"""
