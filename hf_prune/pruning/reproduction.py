"""Lines of Python that repeat the steps of a split, written from its record."""

from collections.abc import Iterator, Mapping
from typing import Any

from hf_prune.data.history import CHANGED, CHANGED_SCORES, CLEAN
from hf_prune.models.recorded import is_public, opening_options
from hf_prune.runtime.plain_values import python


class Code(str):
    """Text that is Python already."""

    __slots__ = ()


class _Settings(dict[str, Any]):
    """Settings of a `Run`."""


# Written where only the user has what was used; the comment beside says what that was.
_UNKNOWN = "..."


def reproduction(entry: Mapping[str, Any]) -> list[str]:
    """Write the lines of Python that load the source of a split and repeat its steps, from its record.

    They are safe inside a fenced block of Markdown.
    """
    return [
        "import hf_prune",
        "from datasets import load_dataset",
        "",
        f"ds = {load(entry['source'])}",
        *["# what was done to the rows here, before the first step, is not known"] * changed_at_start(entry),
        *(line for step in entry["steps"] for line in (_cleaning(step) if step["kind"] == CLEAN else _step(step))),
        *["# what was done outside hf_prune is not known"] * bool(entry[CHANGED] or entry.get(CHANGED_SCORES)),
    ]


def changed_at_start(entry: Mapping[str, Any]) -> bool:
    """Whether the rows before the first step are known not to be those of the split that was loaded."""
    loaded = entry.get("loaded")
    return isinstance(loaded, Mapping) and loaded.get("same") is False


def load(source: Mapping[str, Any]) -> str:
    """Write the expression that loads a recorded source."""
    if source["known"] == "local":
        return f"load_dataset({_UNKNOWN})  # the source is local"
    keywords = {"revision": source["commit"]} | ({"split": source["split"]} if "split" in source else {})
    return load_call(source["repo_id"], source.get("config_name", "default"), keywords)


def load_call(place: str, config: str, keywords: Mapping[str, Any]) -> str:
    """Write the call of ``load_dataset`` that opens a configuration."""
    return call("load_dataset", [place] if config == "default" else [place, config], keywords)


def _step(step: Mapping[str, Any]) -> Iterator[str]:
    taken = [made["published"] for made in step.get("inputs", {}).values() if "published" in made]
    if taken:
        yield from _taken_over(step, taken[0])
        return
    keywords: dict[str, Any] = {}
    notes: list[str] = []
    if step["kind"] == "score":
        for made_from in step["inputs"].items():
            _add_input(keywords, notes, *made_from)
        if step["column"] != step["metric"]:
            keywords["column"] = step["column"]
        if step["unscored"]:
            keywords["on_error"] = "skip"
        keywords |= {"seed": step["seed"], **step["options"]}
        line = call("ds.score_with", [step["metric"]], keywords)
    elif step["kind"] == "combine":
        keywords = {"how": step["metric"], "column": step["column"]}
        keywords |= {"weights": step["options"]["weights"]} if step["options"].get("weights") else {}
        line = call("hf_prune.combine", [Code("ds"), step["options"]["metrics"]], keywords)
    else:
        recorded = {name: step.get(name) for name in ("keep", "order", "class_balance", "label_column", "seed")}
        keywords = {name: value for name, value in recorded.items() if value is not None}
        for made_from in step.get("inputs", {}).items():
            _add_input(keywords, notes, *made_from)
        keywords |= step.get("options", {})
        line = call("ds.prune", [step["column"]], keywords)
    yield from (f"# {note}" for note in notes)
    yield f"ds = {line}"


def _cleaning(step: Mapping[str, Any]) -> Iterator[str]:
    """Write what a cleaning removed, for which all splits are needed."""
    splits = ", ".join(map(python, step["options"].get("splits", [])))
    gone = int(step["rows_in"]) - int(step["rows_out"])
    yield f"# {gone} rows that split {splits} holds, too, were removed here by hf_prune.leaks(splits).cleaned()"


def _taken_over(step: Mapping[str, Any], published: Mapping[str, Any]) -> Iterator[str]:
    """Write the lines for scores or row numbers that somebody published."""
    place: Any = published.get("shelf") or published.get("repo_id") or Ellipsis
    if place is Ellipsis:
        yield f"# taken from your own {python(published.get('folder') or published.get('file'))}"
    revision = {"revision": published["commit"]} if "commit" in published else {}
    if step["kind"] == "prune":
        function, keywords = "hf_prune.apply", {"config": published.get("config")}
    else:
        function, keywords = "hf_prune.load_scores", {"columns": step["column"]}
    yield f"ds = {call(function, [place, Code('ds')], keywords | revision)}"


def _add_input(keywords: dict[str, Any], notes: list[str], name: str, made_from: Mapping[str, Any]) -> None:
    """Add the argument of `score_with` for one input of a metric."""
    _add_handed_in(keywords, notes, name, made_from)
    if "label_column" in made_from:
        keywords["label_column"] = made_from["label_column"]
    if "heads" in made_from:
        keywords["teachers"] = Code(call("hf_prune.Heads", [], made_from["heads"]))
    if "dynamics" in made_from:
        keywords["dynamics"] = Ellipsis
        notes.append(f"the record of your own training for {python(name)}, SHA-256 {python(made_from['sha256'])}")
    if "prototypes" in made_from:
        keywords["prototypes"] = _prototypes(made_from["prototypes"], notes)
    for argument in ("encoder", "teachers", "student"):
        if argument in made_from:
            _add_models(keywords, notes, argument, made_from[argument])


def _add_handed_in(keywords: dict[str, Any], notes: list[str], name: str, made_from: Mapping[str, Any]) -> None:
    if "given_sha256" in made_from:
        keywords.setdefault("inputs", {})[name] = Ellipsis
        notes.append(f"{python(name)} was handed in, SHA-256 {python(made_from['given_sha256'])}")
    if "target_sha256" in made_from:
        keywords["target"] = Ellipsis
        rows, digest = made_from["target_rows"], made_from["target_sha256"]
        notes.append(f"target: {python(rows)} rows of your own, SHA-256 of their embeddings {python(digest)}")


def _add_models(keywords: dict[str, Any], notes: list[str], argument: str, found: Any) -> None:
    """Add the names of models, and how they were opened as settings of the run."""
    models = found if isinstance(found, list) else [found]
    given = [_model(model, argument, notes) for model in models]
    keywords[argument] = given if isinstance(found, list) else given[0]
    if opened := opening_options(models):
        keywords.setdefault("run", _Settings()).update(opened)


def _model(model: Mapping[str, Any], argument: str, notes: list[str]) -> Any:
    """Write the name of a public model, else a placeholder and a note on what it was."""
    if is_public(model):
        return model["id"]
    weights = model.get("weights_sha256")
    known = f", weights SHA-256 {python(weights)}" if weights else ""
    notes.append(f"{argument}: your own {python(model['id'])}{known}")
    return Ellipsis


def _prototypes(found: Mapping[str, Any], notes: list[str]) -> Any:
    """Write the name of prototypes with their commit, else a placeholder and a note."""
    if found.get("commit"):
        return f"{found['id']}@{found['commit']}"
    notes.append(f"prototypes: your own, SHA-256 {python(found['centroids_sha256'])}")
    return Ellipsis


def call(function: str, places: list[Any], keywords: Mapping[str, Any]) -> str:
    """Write a call with its arguments as Python source."""
    arguments = [_value(place) for place in places]
    # Options come from metrics that anybody may register: only what Python takes as a name is written as one.
    named = {name: value for name, value in keywords.items() if name.isidentifier() and name.isascii()}
    arguments += [f"{name}={_value(value)}" for name, value in named.items()]
    return f"{function}({', '.join(arguments)})"


def _value(value: Any) -> str:
    if value is Ellipsis:
        return _UNKNOWN
    if isinstance(value, Code):
        return value
    if isinstance(value, _Settings):
        return call("hf_prune.Run", [], value)
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict) and any(item is Ellipsis for item in value.values()):
        return "{" + ", ".join(f"{python(key)}: {_value(item)}" for key, item in value.items()) + "}"
    return str(python(value))
