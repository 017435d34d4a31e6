"""A section of a card is added by one declaration and its template."""

import jinja2

from hf_prune.hub.card.environment import environment
from hf_prune.hub.card.sections import LAST, OF_EACH_SPLIT, Section, render_sections
from tests.helpers.card_records import many_classes


def test_a_new_section(tmp_path, monkeypatch):
    record = many_classes(tmp_path)
    before = render_sections(record)
    own = {
        "sections/colours.md.jinja": "### Colours{{ of }}\n\n{{ colours | names }} in {{ split.rows | number }} rows\n",
        "sections/thanks.md.jinja": "### Thanks\n\nTo {{ record.config_name | code }}.\n\n",
    }
    monkeypatch.setattr(environment(), "loader", jinja2.ChoiceLoader([jinja2.DictLoader(own), environment().loader]))
    monkeypatch.setattr(
        "hf_prune.hub.card.sections.OF_EACH_SPLIT",
        [*OF_EACH_SPLIT, Section("colours", lambda split: {"colours": ["red"]} if split["class_counts"] else None)],
    )
    monkeypatch.setattr("hf_prune.hub.card.sections.LAST", [Section("thanks"), *LAST])
    after = render_sections(record)
    colours = "### Colours of `train`\n\n`red` in 60 rows\n\n"
    thanks = "### Thanks\n\nTo `el2n-easy-60`.\n\n"
    assert after.count(colours) == after.count(thanks) == after.count("### Colours") == 1
    assert after.replace(colours, "").replace(thanks, "") == before
    monkeypatch.setattr("hf_prune.hub.card.sections.LAST", [])
    assert "### Digests" not in render_sections(record)
