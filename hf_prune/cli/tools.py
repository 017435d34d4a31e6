"""The commands beside the steps: ``demo``, ``metrics``, ``correlate``, ``explain``, ``cache`` and ``run``."""

import os
import re
import sys
import time
import webbrowser
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_prune.cli.as_json import data_of
from hf_prune.cli.folders import check_target, save
from hf_prune.cli.metric_list import metrics
from hf_prune.cli.output import by_one_process, echo, is_json, show, with_json
from hf_prune.cli.signatures import argument_docs, function_parameters, make_command, option, summary
from hf_prune.data.loading import open_dataset, train_split
from hf_prune.engine.store import default_root
from hf_prune.pruning import comparison
from hf_prune.pruning.reasons import explain
from hf_prune.runtime.cache import CacheEntry, clear, list_caches, parse_duration, parse_size
from hf_prune.runtime.messages import printable
from hf_prune.runtime.processes import in_step, is_main_process
from hf_prune.scoring.correlation import correlate
from hf_prune.workflows.demo import run_demo
from hf_prune.workflows.recipe import load_recipe, run_recipe

Split = Annotated[str | None, typer.Option(help="Split of several; left out, the train split.")]
CacheDir = Annotated[Path | None, typer.Option(help="Folder of the cache; left out, $HF_HOME/hf_prune.")]


def say(line: str) -> None:
    """Print a message to stderr, from one of the processes."""
    if is_main_process():
        echo(line, err=True)


@by_one_process
def correlate_columns(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Folder of a scored data set.")],
    columns: Annotated[
        list[str] | None, typer.Argument(metavar="METRICS", help=argument_docs(correlate)["metrics"])
    ] = None,
    split: Split = None,
    out: Annotated[Path | None, typer.Option(help="CSV file for the table; left out, it is printed.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Picture of the table, such as table.png.")] = None,
) -> None:
    """Compare the rankings of score columns by Spearman correlation."""
    found = correlate(train_split(open_dataset(data, split=split)), columns or None)
    if figure is not None:
        from hf_prune.scoring.plots import correlation_figure

        correlation_figure(found).savefig(figure, dpi=150)
        show(figure, figure=figure)
    if out is not None:
        show(found.write_csv(out), out=out)
        return
    show(found)


@by_one_process
def explain_rows(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Folder of the scored data set before it was pruned.")],
    kept: Annotated[str, typer.Argument(metavar="KEPT", help="Folder of what was kept of it.")],
    split: Split = None,
    out: Annotated[
        Path | None, typer.Option(help="CSV file with a line per row; left out, the reasons are counted.")
    ] = None,
) -> None:
    """Say of every row whether a pruning kept it, its score, its rank and why."""
    found = explain(*(train_split(open_dataset(path, split=split)) for path in (data, kept)))
    if out is not None:
        found.to_csv(out)
        show(out, out=out)
        return
    # A duplicate's reason names the row it repeats; counted, they are one.
    reasons = Counter(re.sub(r" of row \d+$", "", reason) for reason in found["reason"])
    lines = [f"{rows:10,}  {printable(reason)}" for reason, rows in reasons.most_common()]
    show(*lines, reasons=dict(reasons.most_common()))


def cache_help(context: typer.Context) -> None:
    """List or clear the kept results of models."""
    if context.invoked_subcommand is None:
        echo(context.get_help())


def cache_list(cache_dir: CacheDir = None) -> None:
    """List what is kept: name, what it holds, size, day of the last use, model or training."""
    entries, lines = list_caches(cache_dir or default_root()), []
    for entry in entries:
        used = time.strftime("%Y-%m-%d", time.localtime(entry.used))
        lines.append(printable(f"{entry.name}  {entry.holds}  {entry.size / 2**20:.1f} MiB  {used}  {_model(entry)}"))
    show(*lines, entries=[data_of(entry) for entry in entries])


def _model(entry: CacheEntry) -> str:
    if entry.kind == "heads":
        return f"heads {entry.identity.get('need', '')}".strip()
    if entry.kind != "rows":
        return {"keys": "content keys", "shelf": "released scores", "streams": "scores of a stream"}[entry.kind]
    return str(entry.identity.get("id") or entry.identity.get("kind") or "unknown")


def cache_clear(
    name: Annotated[
        str | None, typer.Argument(help="One of the names of 'cache list'; left out, all of them.")
    ] = None,
    older_than: Annotated[
        str | None, typer.Option(help="Remove only what was not used for so long, such as 30d, 12h or 2w.")
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option(help="Remove what was used least recently until so much is left, such as 50GB."),
    ] = None,
    cache_dir: CacheDir = None,
) -> None:
    """Remove kept results; what a running process uses stays, scored data sets are never touched."""
    age = None if older_than is None else parse_duration(older_than, "--older-than")
    size = None if max_size is None else parse_size(max_size, "--max-size")
    if not is_main_process():
        return
    freed = clear(cache_dir or default_root(), name, older_than=age, max_size=size)
    show(f"{freed.size / 2**20:.1f} MiB freed", freed=freed.size, in_use=freed.in_use)
    if freed.in_use:
        say(f"in use by running processes, so kept: {', '.join(freed.in_use)}")


def run(
    config: Annotated[
        Path, typer.Argument(help="A recipe: YAML with the blocks dataset, score, prune, export, push and others.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a value, such as prune.keep=0.5. Repeatable."),
    ] = None,
    push: Annotated[
        bool, typer.Option("--push", help="Publish as the blocks push and push_teacher say; never done without it.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder of save_to_disk for the result.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a result of an earlier step in the folder of --out.")
    ] = False,
) -> None:
    """Run a recipe."""
    recipe = load_recipe(config, settings or ())
    with in_step("run"):
        if out is not None:
            check_target(out, overwrite)
        ds = run_recipe(recipe, push=push, log=say)
    if not is_main_process():
        return
    if "export" in recipe.blocks:
        show(recipe.blocks["export"]["folder"], exported=recipe.blocks["export"]["folder"])
    if out is not None:
        save(ds, out, overwrite)
        show(out, out=out)


def _demo(**values: Any) -> None:
    # With --json, stdout is the object alone.
    found = run_demo(log=say if is_json() else echo, **values)
    if is_json():
        show(exported=found.exported, report=found.report, files=found.files, table=comparison.lines(found.results))
    elif sys.stdout.isatty() and (sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)):
        webbrowser.open(found.report.absolute().as_uri())


_KEEPS = {"keeps": option(list[float], "Fraction to keep. Repeatable.", "--keep", "--keeps")}
COMMANDS: dict[str, Callable[..., None]] = {
    "demo": make_command(_demo, function_parameters(run_demo, leave_out=("log",), own=_KEEPS), summary(run_demo)),
    "metrics": metrics,
    "correlate": correlate_columns,
    "explain": explain_rows,
    "run": run,
}
CACHE = typer.Typer(rich_markup_mode=None)
CACHE.callback(invoke_without_command=True)(cache_help)
CACHE.command("list")(with_json(cache_list))
CACHE.command("clear")(with_json(cache_clear))
