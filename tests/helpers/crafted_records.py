"""Published folders as somebody might write them to harm whoever reads them; strategies of hypothesis."""

import base64
import contextlib
import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from hf_prune.hub import manifest
from hf_prune.hub.card import croissant
from hf_prune.hub.card.build import build_card
from hf_prune.runtime.integrity import file_entry
from tests.helpers.tampered import CUT, SHARD, TABLE

FORGED = "\x1b[2K\rsame   x: all 21 checks agree\nout: all 21 checks agree\u202e"
STARS = "*a" * 300 + "b"


def packed(rows, bit):
    """A packed list of so many rows, all of them kept or none."""
    return base64.b64encode(zlib.compress((b"\xff" if bit else b"\0") * ((rows + 7) // 8))).decode()


def deep(depth, kind=list):
    value = 1
    for _ in range(depth):
        value = [value] if kind is list else {"a": value}
    return value


VALUES = [
    None, True, -1, 0, 3, 60_000, 10**10, 2**63, 10**300, 1e308, -0.5, "", "x", "0", "train", CUT, "scores", "pixels",
    FORGED, "a" * 100_000, "/etc/passwd", "../../x", "~", "file:///dev/zero", "imagefolder", STARS, "**/" * 300 + "x",
    "data/*", [], {}, [[]], [None], [FORGED], [STARS] * 50, {"a": {"b": FORGED}}, list(range(3000)), deep(60),
    deep(60, dict), packed(10**7, True), packed(10**8, False), "row", "label", "image", "hard", "prototypes", "cluster",
]  # fmt: skip
OPTIONS = {
    "allow_pickle": True,
    "cache_dir": "written-outside",
    "encoder": "model.pt",
    "inputs": {"embeddings": "x.npy"},
    "teachers": "model.pt",
    "overwrite": True,
    "num_strata": 10**10,
    "num_clusters": 10**10,
    "num_prototypes": 10**10,
    "num_iterations": 10**12,
    "keep": 5.0,
    "splits": "all",
    FORGED: FORGED,
}
MODELS = [
    {"id": "/etc/passwd", "kind": "pixels", "commit": None, "dtype": "float32", "image_size": 2},
    {"id": "pixels", "kind": "pixels", "commit": None, "dtype": "float32", "image_size": 60_000},
    {"id": "../model", "kind": "transformers", "commit": "0" * 40, "dtype": "float32"},
    {"id": FORGED, "kind": "transformers", "commit": FORGED, "dtype": FORGED},
    {"id": "pixels", "kind": "pixels", "commit": None, "dtype": "float32", "image_size": 2},
]
FEATURES = [
    [{"name": "label", "dtype": {"class_label": {"num_classes": 10**9}}}],
    [{"name": "label", "dtype": {"class_label": {"names_file": "/etc/passwd"}}}],
    [{"name": FORGED, "dtype": "int8"}],
    [{"name": "x", "dtype": {"array2_d": {"shape": [10**9, 10**9], "dtype": "int8"}}}],
    [{"name": "x", "list": "int8", "length": 10**10}],
]
TEXTS = [
    b"", b"{", b"[" * 100_000, b"\xff" * 100, b'{"schema": 3, "configs": {"a": ' + b'{"a":' * 5000 + b"1" + b"}" * 5002,
    b'{"schema": ' + b"9" * 10_000 + b', "configs": {}}', b"[" + b"[]," * 2_100_000 + b"1]", b"null", b'{"schema": true}',
]  # fmt: skip
LAUGHS = "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9))
HEADERS = [
    f"---\na: &a [x]\n{LAUGHS}---\n",
    "---\na: &a {x: 1}\n" + "".join(f"b{n}: &b{n} {{<<: [*a, *a]}}\n" for n in range(30)) + "---\n",
    "---\nx: " + "[" * 3000 + "\n---\n",
    "---\n" + "\n" * 200_000 + "---\n",
    "---\n" + "- a\n" * 10_000 + "---\n",
    "---\nconfigs:\n- config_name: [1]\n  data_files: 3\n---\n",
    "---\nconfigs:\n- config_name: x\n  default: true\n  data_files: '" + STARS + "'\n---\n",
    "---\ndataset_info: 7\n---\n",
    "no header\n" + "---\n" * 1000,
    "---\n" + "x: '" + "a" * 3_000_000 + "'\n---\n",
    "---\r\n" * 1000,
    "---\n? {a: b}\n: c\n1: 2\n---\n",
]


# How often each kind of change is made.
KINDS = {"value": 4, "name": 1, "step": 3, "option": 2, "model": 2, "text": 1, "card": 1, "parquet": 2, "bytes": 1}


@st.composite
def changes(draw):
    """One change of a folder: its kind and what it needs, drawn evenly, so that no example is like the one before."""
    random = draw(st.randoms(use_true_random=True))
    return {
        "kind": random.choices(list(KINDS), list(KINDS.values()))[0],
        "where": [random.randrange(12) for _ in range(random.randint(1, 12))],
        "what": random.randrange(10_000),
        "sign": random.random() < 0.7,
    }


def craft(folder, change):
    """Make one change to a published folder."""
    kind, where, what = change["kind"], change["where"], change["what"]
    if kind == "text":
        name = ["provenance.json", "README.md", "croissant.json"][where[0] % 3]
        (folder / name).write_bytes(TEXTS[what % len(TEXTS)])
    elif kind == "card":
        (folder / "README.md").write_text(HEADERS[what % len(HEADERS)])
    elif kind == "parquet":
        with contextlib.suppress(pa.ArrowException, OSError, ZeroDivisionError):  # of what an earlier change left
            crafted_parquet(folder / [SHARD, TABLE][where[0] % 2], what)
        _rewrite(folder, len, change["sign"])
    elif kind == "bytes":
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        path = files[where[0] % len(files)]
        data = bytearray(path.read_bytes())
        if not data:  # emptied by an earlier change
            return
        data[what % len(data)] ^= 1 << where[-1] % 8
        path.write_bytes(data[: what % len(data)] if what % 3 == 0 else data)
    else:
        _rewrite(folder, lambda records: _CHANGES[kind](records, where, what), change["sign"])


def _rewrite(folder, change, sign):
    """Change the records, and where they are to look untouched sign them anew."""
    path = folder / "provenance.json"
    try:
        data = json.loads(path.read_text())
        records = data["configs"]
        change(records)
        if sign:
            _sign(folder, records)
        path.write_text(manifest.dump(records) if sign else json.dumps(data))
    except Exception:  # what cannot be written cannot be read by anybody, and an earlier change is there
        return


def _sign(folder, records):
    for name, record in records.items():
        for file in record["files"]:
            record["files"][file] = file_entry(folder / file)
        records[name] = manifest.seal({key: value for key, value in record.items() if key != "record_sha256"})
    readme = (folder / "README.md").read_text()
    try:
        for name in sorted(records):
            readme = build_card(records[name], readme, records)
        (folder / "croissant.json").write_text(croissant.croissant(records))
    except Exception:  # a record of which no card can be made: the digests fit all the same
        pass
    (folder / "README.md").write_text(readme)


def _walk(records, where):
    """A place in the records: the mapping or list that holds it, and its key."""
    holder, key, value = None, None, records
    for number in where:
        if not isinstance(value, dict | list) or not value:
            break
        keys = list(value) if isinstance(value, dict) else range(len(value))
        holder, key = value, keys[number % len(keys)]
        value = holder[key]
    return holder, key


def _value(records, where, what):
    holder, key = _walk(records, where)
    holder[key] = VALUES[what % len(VALUES)]


def _name(records, where, what):
    holder, key = _walk(records, where[:3])
    names = [value for value in VALUES if isinstance(value, str)]
    if isinstance(holder, dict):
        holder[names[what % len(names)]] = holder.pop(key)


def _steps(records):
    return [step for record in records.values() for entry in record["splits"].values() for step in entry["steps"]]


def _step(records, where, what):
    steps = _steps(records)
    step = steps[where[0] % len(steps)]
    fields = [*sorted(step), "keep", "order", "rows", "unscored", "class_balance", "label_column"]
    for number in where:
        step[fields[number % len(fields)]] = VALUES[(what + number) % len(VALUES)]
    if what % 2:
        for one in steps:
            one["rows_in"] = 10**10


def _option(records, where, what):
    names = list(OPTIONS)
    for step in _steps(records):
        for number in where[:2]:
            name = names[(what + number) % len(names)]
            step["options"][name] = OPTIONS[name]


def _model(records, where, what):
    model = MODELS[what % len(MODELS)]
    heads = {"num_heads": 10**9, "num_epochs": 10**9} if where[0] % 2 else {"nothing": FORGED}
    made_from = [{"encoder": model}, {"teachers": [model, model]}, {"prototypes": model}, {"heads": heads}]
    for step in _steps(records):
        if step["kind"] == "score":
            step["inputs"] = {"embeddings": made_from[where[-1] % 4]}
    for record in records.values():
        if where[0] % 3 == 0:
            record["features"] = FEATURES[what % len(FEATURES)]


_CHANGES = {"value": _value, "name": _name, "step": _step, "option": _option, "model": _model}


def crafted_parquet(path, what):
    """Another table in the place of a published one, which its size says nothing of."""
    table = pq.read_table(path)
    column = table.column_names[what % table.num_columns]
    place = table.column_names.index(column)
    kind = what % 7
    if kind == 0:
        many = {name: _repeated(table.column(name), 3_000_000) for name in table.column_names if name != "image"}
        table = pa.table(many)
    elif kind == 1:
        long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(2000, np.int32)), [b"x" * 900_000])
        table = pa.table({"image": pa.StructArray.from_arrays([long, long], ["bytes", "path"]), "content_key": long})
    elif kind == 2:
        others = [
            pa.array([FORGED] * len(table)),
            pa.array([[1.0]] * len(table)),
            pa.nulls(len(table)),
            pa.array([b"\xff"] * len(table)),
        ]
        table = table.set_column(place, column, others[what % len(others)])
    elif kind == 3:
        table = table.rename_columns([FORGED if name == column else name for name in table.column_names])
    elif kind == 4:
        told = {"info": {"features": {"x": {"_type": "ClassLabel", "num_classes": 10**9}}}}
        table = table.replace_schema_metadata({b"huggingface": json.dumps(told).encode()})
    elif kind == 5:
        table = table.replace_schema_metadata({b"huggingface": b"[" * 100_000})
    else:
        table = table.drop_columns([column])
    pq.write_table(table, path, compression="zstd")


def _repeated(column, rows):
    first = column.combine_chunks()[:1]
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), first) if rows else first


def copied(original, place):
    shutil.rmtree(place, ignore_errors=True)
    return Path(shutil.copytree(original, place))
