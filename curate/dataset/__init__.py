"""The exported dataset: Parquet shards of latents and text, their receipt, and the reader that trains on them.

DIR/dataset.json                     codec, text encoder, latent mean and std, counts, shards with their sha256
DIR/receipt.json                     how each safety category was screened, and the digest of all of the above
DIR/README.md, croissant.json        the same for people and for other tools; made from the others, not sealed
DIR/clips/part-<sha16>.parquet       one row a clip: latent (bf16), captions, provenance
DIR/mp4/CLIP_ID.mp4                  the clip as a file, with `export: {clips: mp4}`
DIR/mp4_index/part-<sha16>.parquet   its size, sha256, and whether its packets were copied or encoded
DIR/texts/part-<sha16>.parquet       one row a distinct text: features (bf16, trimmed)
DIR/texts_NAME/part-<sha16>.parquet  those of a further encoder
DIR/index/part-<sha16>.parquet       one row a clip: size of its latent, and where it lies
"""
