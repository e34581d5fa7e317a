"""Sealed sources: known material, and sexual content with a minor signal. They leave nothing but an incident.

A sealed source is in no work list, export, report or explanation; its row of the ledger names an incident and nothing
that it could be found by. The user's own file is neither moved nor deleted. What those who must act need to know lies
in OUT/sealed/INCIDENT.json, readable by its owner alone. A false match may be cleared by two people, neither of whom
needs to look; nothing else is ever released.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate import hashing, ids, schema, snapshots
from curate.errors import RushesError, SpecError
from curate.plan import Plan
from curate.sources import Location
from curate.store import Store, ids_of, read_columns, storage_errors, write_atomic
from curate.tables import CLEARED, SEALED

Row = dict[str, Any]
KNOWN, MINORS = "known", "minors"
_TO_CLEAR = 2  # people


def incident(source: str, why: str, lists: str | None = None, **facts: Any) -> Row:
    """The row of one sealed source; all that is ever written of it. facts: list, kind, distance of a match."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    named = {"seal_id": ids.fingerprint([source, why, lists])[:32], "incident": secrets.token_hex(6), "at": now}
    return {**named, "source_id": source, "why": why, "lists": lists, **facts}


def incidents(store: Store) -> list[Row]:
    """Every incident, cleared ones included."""
    return store.read(SEALED.name, SEALED.schema).to_pylist()


def cleared(store: Store) -> set[str]:
    """Incidents whose match two people have called false."""
    people: dict[str, set[str]] = {}
    for row in store.read(CLEARED.name, CLEARED.schema).to_pylist():
        people.setdefault(row["incident"], set()).add(row["person"].casefold())
    return {name for name, who in people.items() if len(who) >= _TO_CLEAR}


def sealed(store: Store) -> dict[str, Row]:
    """The incident of every source that is sealed now."""
    free = cleared(store)
    return {row["source_id"]: row for row in incidents(store) if row["incident"] not in free}


def excused(plan: Plan, store: Store) -> set[str]:
    """Sources that pass the gate unasked: their match with these very lists was called false. A new list asks again."""
    free, now = cleared(store), lists_digest(plan)
    return {row["source_id"] for row in incidents(store) if row["incident"] in free and row["lists"] == now}


def lists_digest(plan: Plan) -> str | None:
    """What the lists of known material are at present, all together."""
    return ids.fingerprint(sorted(plan.known.sha256))[:32] if plan.known is not None else None


def seal(store: Store, rows: Iterable[Row]) -> int:
    """Commit incidents that are not there; how many there were."""
    have = {row["seal_id"] for row in incidents(store)}
    fresh = {row["seal_id"]: {**row, "outcome": "ok", "reason": "", "detail": ""} for row in rows}
    new: list[Row] = [row for name, row in fresh.items() if name not in have]
    if new:
        store.commit([store.write_part(SEALED.name, schema.rows_to_table(new, SEALED.schema))])
    return len(new)


def clear(store: Store, name: str, person: str) -> int:
    """Note that a person calls a match false; how many have, of two.

    Raises:
        SpecError: there is no such incident, it is not a match, or nobody is named.
    """
    found = [row for row in incidents(store) if row["incident"] == name]
    if not found:
        raise SpecError(f"sealed: there is no incident {name!r}; `rushes sealed OUT` lists them")
    if found[0]["why"] != KNOWN:
        raise SpecError("sealed: only a match with a list can be false; nothing else is released")
    if not person.strip():
        raise SpecError("sealed: --clear needs --by WHO")
    who = person.strip()
    row: Row = {"clearance_id": ids.fingerprint([name, who.casefold()]), "incident": name, "person": who}
    row |= {"at": datetime.now(UTC).isoformat(timespec="seconds"), "outcome": "ok", "reason": "", "detail": ""}
    store.commit([store.write_part(CLEARED.name, schema.rows_to_table([row], CLEARED.schema))])
    rows = store.read(CLEARED.name, CLEARED.schema).to_pylist()
    return len({r["person"].casefold() for r in rows if r["incident"] == name})


# -- what becomes of them ----------------------------------------------------------------------------------------


def settle(plan: Plan, store: Store, locations: list[Location]) -> None:
    """Do with every sealed source what the spec says, once.

    Raises:
        RushesError: the command refused an incident; the source stays sealed, and the next run asks it again.
    """
    screen = plan.stages.screen
    policy = screen.sealed if screen is not None else None
    locked = sealed(store)
    hashing.forget(store.out / "hashes.json", {place.url for place in locations if place.source_id in locked})
    for source, row in locked.items():
        path = store.out / "sealed" / f"{row['incident']}.json"
        if path.exists():
            continue
        revoke(store, source)
        if policy is None:
            continue
        what = policy.policy if isinstance(policy.policy, str) else "command"
        urls = sorted(location.url for location in locations if location.source_id == source)
        facts = {k: row[k] for k in ("incident", "why", "list", "kind", "distance", "at", "source_id")}
        note = {**facts, "urls": urls, "policy": what, "contact": policy.contact}
        if what == "purge":
            purge(store, source, locations)
        if what == "command":
            _hand_over(list(policy.policy), note)
        with storage_errors(path):
            path.parent.mkdir(mode=0o700, exist_ok=True)
        write_atomic(path, json.dumps(note, indent=1).encode(), replace=True)
        os.chmod(path, 0o600)


def _hand_over(command: list[str], note: Row) -> None:
    try:
        done = subprocess.run(command, input=json.dumps(note), text=True, capture_output=True, timeout=600, check=False)
        code, said = done.returncode, done.stderr.strip()[-500:]
    except (OSError, subprocess.TimeoutExpired) as error:
        code, said = -1, str(error)
    if code != 0:
        raise RushesError(
            f"sealed.policy: {command[0]} did not take incident {note['incident']} (exit code {code}: {said}); the "
            "source stays sealed, and the next run asks again"
        )


def clips_of(store: Store, source: str) -> set[str]:
    """Clips of a source in every split that was ever made."""
    found: set[str] = set()
    for table in store.tables():
        if table.startswith("split-"):
            rows = store.read(table, schema.SPLIT, ["source_id", "clips"])
            for row in rows.filter(pc.equal(rows["source_id"], source)).to_pylist():
                found.update(span["clip_id"] for span in row["clips"] or [])
    return found


def revoke(store: Store, source: str) -> bool:
    """Make the trainer refuse OUT/dataset if it holds a clip of this source; whether it did."""
    dataset = store.out / "dataset"
    clips = clips_of(store, source)
    if not (dataset / "receipt.json").exists():
        return False
    shards = sorted((dataset / "clips").glob("*.parquet"))
    if not any(clips & ids_of(read_columns(shard, ["clip_id"]), "clip_id") for shard in shards):
        return False
    said = json.dumps({"revoked": "it holds material that was sealed since"}).encode()
    write_atomic(dataset / "receipt.json", said, replace=True)
    snapshots.forget(store.out, "export")  # should the match turn out to be false, the same dataset is made again
    return True


def purge(store: Store, source: str, locations: list[Location]) -> None:
    """Delete every stored row of a source, its clips and the texts that are theirs alone, but for the incident."""
    gone = {source, *clips_of(store, source)}
    texts = _texts_of(store, source, gone, locations)
    for table in store.tables():
        if table in (SEALED.name, CLEARED.name):
            continue
        for part in store.parts(table):
            names = _names(store, part.path)
            key = next((name for name in ("clip_id", "source_id", "text_id") if name in names), None)
            wanted = pa.array(sorted(texts if key == "text_id" else gone), pa.string())
            if key is None or not pc.any(pc.is_in(read_columns(store.out / part.path, [key])[key], wanted)).as_py():
                continue
            rows = store.standing(part, read_columns(store.out / part.path, names), key)
            store.replace(part, rows.filter(pc.invert(pc.is_in(rows[key], wanted))))


def _texts_of(store: Store, source: str, gone: set[str], locations: list[Location]) -> set[str]:
    """Ids of captions of these clips, given or written, that no other clip has."""
    theirs: set[str] = set()
    others: set[str] = set()
    for location in locations:
        said = location.meta.get("original_caption") or []
        lines = [said] if isinstance(said, str) else [row["text"] for row in said]
        (theirs if location.source_id == source else others).update(map(ids.text_id, lines))
    for table in store.tables():
        if table.startswith("caption-"):
            for row in store.read(table, schema.CAPTION, ["clip_id", "short", "dense"]).to_pylist():
                lines = [text for text in (row["short"], row["dense"]) if text]
                (theirs if row["clip_id"] in gone else others).update(map(ids.text_id, lines))
    return theirs - others - {ids.text_id("")}


def _names(store: Store, path: str) -> list[str]:
    import pyarrow.parquet as pq

    return pq.read_schema(store.out / path).names


# -- lists that grew ---------------------------------------------------------------------------------------------


def rematch(plan: Plan, store: Store, locations: list[Location]) -> int:
    """Hold what is stored of every source against lists that have changed, without decoding; how many were sealed."""
    digest = lists_digest(plan)
    if digest is None or snapshots.finished(store.out).get(KNOWN) == digest:
        return 0  # whatever was stored since passed the gate with these very lists
    from filters.known_hashes import FrameHashes

    found = [matched(plan, location.source_id, match) for location in locations
             if location.source_id and (match := plan.known.matches_file(location.source_id)) is not None]  # fmt: skip
    table = plan.tables["known_hashes"]
    split = store.read(plan.tables["split"].name, schema.SPLIT, ["source_id", "clips"]).to_pylist()
    owner = {span["clip_id"]: row["source_id"] for row in split for span in row["clips"] or []}
    for part in store.parts(table.name):
        rows = store.standing(part, read_columns(store.out / part.path, table.schema.names), "clip_id")
        for row in rows.to_pylist():
            source = owner.get(row["clip_id"])
            if source is None or row["outcome"] != "ok":
                continue
            match = plan.known.matches_frames(FrameHashes.from_row(row))
            if match is not None:
                found.append(matched(plan, source, match))
    count = seal(store, [row for row in found if row["source_id"] not in excused(plan, store)])
    snapshots.finish(store.out, KNOWN, digest)
    return count


def matched(plan: Plan, source: str, match: Any) -> Row:
    """The incident of a source that matches a list."""
    facts = {"list": match.list_name, "kind": match.kind, "distance": match.distance}
    return incident(source, KNOWN, lists_digest(plan), **facts)
