import re
from importlib.resources import files

import pytest

from hf_prune.hub.card.environment import bibtex


def test_every_reference_is_one_entry_of_its_number():
    text = (files("hf_prune.hub.card") / "references.bib").read_text(encoding="utf-8")
    numbers = re.findall(r"^@\w+\{arxiv-(.*),$", text, re.MULTILINE)
    entries = [str(bibtex(f"arXiv:{number}")) for number in numbers]
    assert "\n\n".join(entries) + "\n" == text
    for number, entry in zip(numbers, entries, strict=True):
        assert f"  eprint = {{{number}}},\n" in entry
        assert entry.count("{") == entry.count("}")


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("arXiv:1234.56789", "@misc{arxiv-1234.56789,\n  eprint = {1234.56789},\n  archivePrefix = {arXiv}\n}"),
        ("a <book>\n", '% "a \\x3cbook\\x3e\\n"'),
    ],
)
def test_a_reference_without_an_entry_is_named(reference, expected):
    assert str(bibtex(reference)) == expected
