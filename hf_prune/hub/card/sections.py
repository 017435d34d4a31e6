"""The sections of what a card says of one configuration, each declared once."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from hf_prune.hub.card.code import loading, rebuilding, using
from hf_prune.hub.card.environment import environment
from hf_prune.hub.card.text import code
from hf_prune.hub.formats import format_of
from hf_prune.hub.manifest import changed_scores
from hf_prune.pruning.reproduction import reproduction

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Section:
    """A section of a card.

    Attributes:
        name: Its name; the template is ``sections/NAME.md.jinja``.
        content: From the record of a configuration, or of a split in `OF_EACH_SPLIT`, to what the template is rendered with
            beside it; None leaves the section out. Without it the section is always there.
    """

    name: str
    content: Callable[[Record], Mapping[str, Any] | None] = lambda _: {}

    def render(self, about: Record, **values: Any) -> str:
        """Render the section of a configuration or split; empty where it is left out."""
        content = self.content(about)
        template = f"sections/{self.name}.md.jinja"
        return "" if content is None else environment().get_template(template).render(**values, **content).strip()


def _evidence(split: Record) -> Mapping[str, Any] | None:
    """Return the evidence of prunings, and of scores that were not changed since."""
    changed = changed_scores(split)
    steps = [step for step in split["steps"] if step["kind"] == "prune" or step["column"] not in changed]
    found = [step["evidence"] for step in steps if step.get("evidence")]
    return {"evidence": found} if found else None


def _citation(record: Record) -> Mapping[str, Any] | None:
    """Return the sources whose cards say how to cite them, each once."""
    sources = {split["source"].get("repo_id"): split["source"] for split in record["splits"].values()}
    citing = [source for source in sources.values() if (source.get("card") or {}).get("citation")]
    return {"sources": citing} if citing or record["references"] else None


def _rebuild(record: Record) -> Mapping[str, Any] | None:
    commands = rebuilding(record)
    return {"commands": code_lines(commands)} if commands else None


# In the order of the page: first what the format begins with, a summary; then those of each split that was scored, what shows
# the cut before what logs it; then the last ones.
OF_EACH_SPLIT = [
    Section("scores", lambda split: {"pictures": split.get("pictures", {})} if split["scores"] else None),
    Section("classes", lambda split: {} if split["class_counts"] else None),
    Section("evidence", _evidence),
    Section("limits", lambda split: {} if split.get("limits") else None),
    Section("steps"),
    Section("again", lambda split: {"lines": code_lines(reproduction(split))}),
]
LAST = [Section("rebuild", _rebuild), Section("digests"), Section("citation", _citation)]


def render_sections(record: Record) -> str:
    """Render what the card says of a configuration, from its record."""
    opening = environment().get_template(f"formats/{format_of(record).template}")
    texts = [opening.render(record=record, load=Markup(loading(record)), using=code_lines(using(record))).strip()]
    splits = record["splits"]
    for name, split in splits.items():
        of = Markup(" of {}").format(code(name)) if len(splits) > 1 else Markup("")
        if split["steps"]:
            texts += [section.render(split, split=split, name=name, of=of) for section in OF_EACH_SPLIT]
    texts += [section.render(record, record=record) for section in LAST]
    return "\n\n".join(filter(None, texts))


def code_lines(lines: Iterable[str]) -> list[Markup]:
    """Mark lines of Python, whose values `python` wrote, as safe for a fenced block."""
    return list(map(Markup, lines))
