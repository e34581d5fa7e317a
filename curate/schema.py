"""Arrow schemas of the tables in the store. Units and meanings travel in the field metadata.

Every stage table has its id first and ends with the outcome columns. A table's columns appear in the ledger as
`stage.column`. Columns marked operational describe how a row came to be, not what it is: no digest covers them.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from curate.stage import Score, column

OPERATIONAL = b"operational"


def _operational(name: str, kind: pa.DataType, meaning: str) -> pa.Field:
    return pa.field(name, kind, metadata={"unit": "", "meaning": meaning, OPERATIONAL: b"yes"})


OUTCOME = (
    column("outcome", pa.string(), "", "ok or quarantined"),
    column("reason", pa.string(), "", "code of the fault, such as decode:error; empty when ok"),
    _operational("detail", pa.string(), "a sentence for a person"),
    _operational("attempts", pa.int32(), "how often the row was tried"),
    _operational("seconds", pa.float64(), "wall time of the row in its worker"),
)


def table(*fields: pa.Field) -> pa.Schema:
    """A stage table: the given fields (the id first), then the outcome."""
    return pa.schema([*fields, *OUTCOME])


def is_operational(field: pa.Field) -> bool:
    """Tell whether a digest leaves this column out."""
    return bool(field.metadata) and OPERATIONAL in field.metadata


_ID = column("source_id", pa.string(), "", "sha256 of the file's bytes, 32 hex digits")
_CLIP = column("clip_id", pa.string(), "", "sha256 of source, stream and span, 32 hex digits")

PROBE = table(
    _ID,
    column("kind", pa.string(), "", "video or image"),
    column("container", pa.string(), "", "demuxer"),
    column("codec", pa.string(), "", "video codec"),
    column("width", pa.int32(), "px", "width of the picture as shown: upright, square pixels"),
    column("height", pa.int32(), "px", "height of the picture as shown"),
    column("fps", pa.float64(), "1/s", "average frame rate as declared"),
    column("duration_s", pa.float64(), "s", "duration as declared"),
    column("duration_of", pa.string(), "", "who declares it: stream, or container (which may mean another stream)"),
    column("num_frames_declared", pa.int64(), "frames", "frames as declared, 0 when the container is silent"),
    column("start_s", pa.float64(), "s", "presentation time at which the stream begins, as declared"),
    column("stream_index", pa.int32(), "", "index of the video stream"),
    column("time_base", pa.string(), "s", "seconds per tick of pts, as a fraction"),
    column("coded_width", pa.int32(), "px", "width of the picture as coded"),
    column("coded_height", pa.int32(), "px", "height of the picture as coded"),
    column("sample_aspect", pa.string(), "", "width of a coded pixel over its height, as a fraction"),
    column("rotation", pa.int32(), "degrees", "clockwise turn that makes the coded picture upright"),
    column("pixel_format", pa.string(), "", "libav's name of the coded pixels"),
    column("bit_depth", pa.int32(), "bits", "of a sample"),
    column("field_order", pa.string(), "", "progressive, unknown, or an interlaced picture's fields: tt, bb, tb, bt"),
    column("transfer", pa.string(), "", "transfer function; smpte2084, arib-std-b67: HDR, not tone-mapped"),
)

SPAN = pa.struct(
    [
        _CLIP,
        column("start_pts", pa.int64(), "ticks", "pts of the first frame"),
        column("end_pts", pa.int64(), "ticks", "pts behind the last frame (half-open)"),
        column("start_s", pa.float64(), "s", "start, from the source's first frame"),
        column("end_s", pa.float64(), "s", "end, from the source's first frame"),
        column("num_frames", pa.int32(), "frames", "frames in the span"),
        column("corrupt_frames", pa.int32(), "frames", "frames whose damage the decoder concealed: never scored"),
        column("confidence", pa.float32(), "0..1", "of the less sure boundary at its scene's ends; 1 at the file's"),
        column("too_short", pa.bool_(), "", "shorter than split.min_s: rejected, never scored"),
    ]
)

BOUNDARY = pa.struct(
    [
        column("start_s", pa.float64(), "s", "first frame that is no longer only the old scene"),
        column("end_s", pa.float64(), "s", "first frame that is only the new scene; equal for a hard cut"),
        column("confidence", pa.float32(), "0..1", "as the detector says"),
    ]
)

SPLIT = table(
    _ID,
    column("num_frames", pa.int64(), "frames", "frames decoded"),
    column("first_pts", pa.int64(), "ticks", "pts of the source's first frame"),
    column("detector", pa.string(), "", "scene detector"),
    column("clips", pa.list_(SPAN), "", "the candidate clips, in order; with the transitions they tile the source"),
    column("boundaries", pa.list_(BOUNDARY), "", "where scenes meet; frames of a transition belong to no clip"),
    column("missing_s", pa.float64(), "s", "between the last decoded frame and the declared end"),
    column("corrupt_frames", pa.int64(), "frames", "frames whose damage the decoder concealed"),
    column("interlaced_frames", pa.int64(), "frames", "frames that are coded as two fields"),
)

CONTENT = table(_CLIP, column("hash", pa.string(), "", "hash of every decoded frame of the clip, in order"))

FRAMES = table(
    _CLIP,
    column("jpeg", pa.list_(pa.binary()), "", "proxies: sampled frames as JPEG, quality 90"),
    column("times_s", pa.list_(pa.float64()), "s", "their times from the clip's start"),
    column("width", pa.int32(), "px", "width of a proxy"),
    column("height", pa.int32(), "px", "height of a proxy"),
)

WINDOW = pa.struct(
    [
        column("kind", pa.string(), "", "kind of caption"),
        column("start_s", pa.float64(), "s", "start, from the clip's"),
        column("end_s", pa.float64(), "s", "end"),
        column("text", pa.string(), "", "what was said of it"),
        column("truncated", pa.bool_(), "", "whether the token limit was reached"),
    ]
)

REFUSED = pa.struct(
    [
        column("kind", pa.string(), "", "kind of caption"),
        column("prompt", pa.string(), "", "what was asked"),
        column("codes", pa.list_(pa.string()), "", "what was wrong with the answer"),
        column("text", pa.string(), "", "the answer"),
    ]
)

CAPTION = table(
    _CLIP,
    column("short", pa.string(), "", "the main subject, one sentence"),
    column(
        "dense", pa.string(), "", "everything that was measured or seen; windows of a long clip one after the other"
    ),
    column("short_status", pa.string(), "", "ok, or why it cannot be used: a code of the checks, or a fault"),
    column("dense_status", pa.string(), "", "as short_status"),
    column("short_truncated", pa.bool_(), "", "whether the token limit was reached"),
    column("dense_truncated", pa.bool_(), "", "as short_truncated, in any window"),
    column("short_fields", pa.string(), "JSON", "what was said beside the caption, by field"),
    column("dense_fields", pa.string(), "JSON", "as short_fields; a list where there are windows"),
    column("short_asked", pa.int32(), "", "times that it was asked for: each with another prompt"),
    column("dense_asked", pa.int32(), "", "as short_asked"),
    column("language", pa.string(), "", "language that was asked for; JSON by kind where they differ"),
    column("model", pa.string(), "", "what wrote it; JSON by kind where they differ"),
    column("revision", pa.string(), "", "of the model: digest of its weights, or what a server says"),
    column("prompts", pa.string(), "JSON", "name, version and hash of the prompts that were answered, a list a kind"),
    column("decoding", pa.string(), "JSON", "parameters of generation"),
    column("frames", pa.string(), "", "digest of the frames that were shown; empty if none were"),
    column("windows", pa.list_(WINDOW), "", "what was said of each window of a long clip"),
    column("refused", pa.list_(REFUSED), "", "answers that are not used: others of theirs are"),
    _operational("tokens_in", pa.int64(), "tokens that the model read"),
    _operational("tokens_out", pa.int64(), "tokens that it wrote"),
    _operational("requests", pa.int32(), "requests to a server, those that failed included"),
    _operational("model_s", pa.float64(), "s that the model worked on it, its share of a batch"),
    *(
        _operational(f"{kind}_{name}", of, f"of the {kind} caption alone")
        for kind in ("short", "dense")
        for name, of in (
            ("tokens_in", pa.int64()),
            ("tokens_out", pa.int64()),
            ("requests", pa.int32()),
            ("model_s", pa.float64()),
        )
    ),
    _operational("waited_s", pa.float64(), "s that the model waited for its frames, its share of a batch"),
)

CHECK = table(
    _CLIP,
    column("short", pa.list_(pa.string()), "", "faults of the short caption, empty when it is good"),
    column("dense", pa.list_(pa.string()), "", "faults of the dense caption, empty when it is good"),
)

LATENT = table(
    _CLIP,
    column("latent", pa.binary(), "", "latent, (C, T, H, W), C order, bf16 little endian, as the codec gives it"),
    column("shape", pa.list_(pa.int32()), "", "[C, T, H, W]"),
    column("dtype", pa.string(), "", "bfloat16"),
    column("codec", pa.string(), "", "latent codec"),
    column("codec_fingerprint", pa.string(), "", "hash of the codec's code, weights and parameters"),
    column("how", pa.string(), "", "whole, or in which tiles, and in which precision it was computed"),
    column("width", pa.int32(), "px", "width of the encoded frames"),
    column("height", pa.int32(), "px", "height of the encoded frames"),
    column("num_frames", pa.int32(), "frames", "encoded frames"),
    column("fps", pa.float64(), "1/s", "rate of the encoded frames; 0 for an image"),
    column("covered", pa.float64(), "", "share of the clip's length that is encoded, from its start"),
    column("crop", pa.list_(pa.int32()), "px", "[x, y, width, height] in source pixels that was encoded"),
    column("source_id", pa.string(), "", "the source"),
    column("stream_index", pa.int32(), "", "stream of the source"),
    column("start_pts", pa.int64(), "ticks", "start of the clip's span"),
    column("end_pts", pa.int64(), "ticks", "end of the clip's span (half-open)"),
    column("time_base", pa.string(), "s", "seconds per tick"),
)

MP4 = table(
    _CLIP,
    column("data", pa.binary(), "", "the clip as an mp4 file"),
    column("how", pa.string(), "", "copied: the source's packets; encoded: H.264, once"),
    column("bytes", pa.int64(), "bytes", "size of the file"),
    column("sha256", pa.string(), "", "of the file"),
)

TEXT = table(
    column("text_id", pa.string(), "", "sha256 of the text's UTF-8 bytes, 32 hex digits"),
    column("text", pa.string(), "", "the text"),
    column("features", pa.binary(), "", "features (L, D), C order, bf16 little endian, trimmed"),
    column("shape", pa.list_(pa.int32()), "", "[L, D]"),
    column("encoder", pa.string(), "", "text encoder"),
    column("encoder_fingerprint", pa.string(), "", "hash of the encoder's code, weights and parameters"),
)

DEDUP = table(
    _CLIP,
    column("duplicate_of", pa.string(), "", "the clip of its cluster that is kept"),
    column("kind", pa.string(), "", "exact:content or perceptual"),
    column("distance", pa.float64(), "bits of 256", "mean distance of the matching frames' hashes"),
    column("matched_share", pa.float64(), "", "share of the shorter clip's frames that match in order"),
    column("chained", pa.bool_(), "", "true: distance and share are to `via`, not to the clip that is kept"),
    column("via", pa.string(), "", "the member of the cluster that it matches"),
    column("cluster_id", pa.string(), "", "clip id of the kept clip"),
    column("cluster_size", pa.int32(), "clips", "members of the cluster, the kept one included"),
)

SEALED = table(
    column("seal_id", pa.string(), "", "of the source, why, and the lists that it was held against"),
    _ID,
    column("why", pa.string(), "", "known: it holds material of a list; minors: sexual content with a minor signal"),
    column("list", pa.string(), "", "list that it matches; null for minors"),
    column("kind", pa.string(), "", "what matches: sha256 of the file, pdq or phash of a frame; null for minors"),
    column("distance", pa.int32(), "bits of 256", "of the frame's hash to the listed one; 0 for a file"),
    column("lists", pa.string(), "", "digest of all lists of known material at the time; null for minors"),
    _operational("incident", pa.string(), "random name of the incident, the only one that is shown"),
    _operational("at", pa.string(), "when it was sealed, UTC"),
)

CLEARED = table(
    column("clearance_id", pa.string(), "", "of an incident and a person"),
    column("incident", pa.string(), "", "the incident whose match the person calls false"),
    column("person", pa.string(), "", "who"),
    _operational("at", pa.string(), "when, UTC"),
)

# What the keep-best policy of deduplication weighs, beside the hashes.
DEDUP_FACTS = ("clip_id", "source_id", "width", "height", "num_frames", "duration_s", "license")


def score_table(score: Score) -> pa.Schema:
    """The table of a score: clip_id and its fields."""
    return table(_CLIP, *score.fields)


def rows_to_table(rows: Iterable[dict[str, object]], schema: pa.Schema) -> pa.Table:
    """Rows as a table; missing values are null, unknown keys are an error."""
    rows = list(rows)
    unknown = {key for row in rows for key in row} - set(schema.names)
    if unknown:
        raise ValueError(f"columns not in the schema: {sorted(unknown)}")
    return pa.Table.from_pylist(rows, schema=schema)
