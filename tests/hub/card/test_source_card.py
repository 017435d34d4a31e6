"""What is taken over from the card of a source, which anybody may have written."""

from pathlib import Path

import pytest

from hf_prune.data.source import Source
from hf_prune.hub.card.source_card import MAX_CARD, MAX_CITATION, parse_source_card, read_source_card

COMMIT = "0" * 40
ENTRY = "@article{a,\n  title = {A {nested} title},\n  year = {2009}\n}"


def parsed(tmp_path: Path, text: str | bytes) -> dict | None:
    path = tmp_path / "README.md"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return parse_source_card(path, "some/source", COMMIT)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("license: mit", {"license": ["mit"]}),
        ("license: [mit, cc-by-4.0, MIT, 3]", {"license": ["mit", "cc-by-4.0"]}),
        ("license: all rights reserved", {}),
        ("tags: [a]", {}),
        ("license_name: a\nlicense: mit", {"license": ["mit"]}),
        (
            "license: other\nlicense_name: imagenet\nlicense_link: LICENSE.md",
            {
                "license": ["other"],
                "license_name": "imagenet",
                "license_link": f"https://huggingface.co/datasets/some/source/blob/{COMMIT}/LICENSE.md",
            },
        ),
        (
            "license: other\nlicense_name: My own\nlicense_link: https://x.org/a_b?c=d",
            {"license": ["other"], "license_link": "https://x.org/a_b?c=d"},
        ),
        ("license: other\nlicense_link: javascript:alert(1)", {"license": ["other"]}),
    ],
)
def test_licences_by_the_names_of_the_hub(tmp_path, header, expected):
    assert parsed(tmp_path, f"---\n{header}\n---\n# Title\n") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"## Citation Information\n```\n{ENTRY}\n```\n", ENTRY),
        (f"# A\n\n{ENTRY}\n", ENTRY),
        (f"{ENTRY.replace('a,', 'b,')}\n### BibTeX:\n\n{ENTRY}\nand {ENTRY}", f"{ENTRY}\n\n{ENTRY}"),
        (f"## How to cite\nas below\n## Other\n{ENTRY}", ENTRY),
        (f"{ENTRY}\n## Citation\nnone", ENTRY),
        ("## Citation\n@article{a, title = {never closed", None),
        ("@decorator{x}", None),
        ("@misc{" + "x" * MAX_CITATION + "}", None),
        ("no citation", None),
    ],
)
def test_bibtex_entries_are_found_whole(tmp_path, text, expected):
    assert (parsed(tmp_path, text) or {}).get("citation") == expected


@pytest.mark.parametrize("content", [b"\xff\xfe", b"---\na: [\n---\n", b" " * (MAX_CARD + 1)])
def test_a_page_that_cannot_be_read_says_nothing(tmp_path, content):
    assert parsed(tmp_path, content) is None


def test_no_card_of_a_local_source_or_of_one_that_is_not_at_hand():
    assert read_source_card(Source(None, None, "local")) is None
    assert read_source_card(Source("somebody/nowhere", COMMIT, "given")) is None
