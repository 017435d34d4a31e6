"""A changed byte in any file that the package reads again is noticed in one line, or changes nothing; it never gives other results.

A few flips of each kind of file run by default. ``HF_PRUNE_FLIPS=320 pytest -s tests/test_flips.py`` makes so many over all
kinds and prints what became of them.
"""

import os
import random
import shutil
import sys
import warnings

import pytest

from hf_prune.cli.errors import is_user_error, message
from tests.helpers.flip_kinds import KINDS, Noticed

PLACES = ("header", "middle", "end")
EDGE = 64  # bytes at either end of a file
FLIPS = -(-int(os.environ.get("HF_PRUNE_FLIPS", "0")) // len(KINDS)) or len(PLACES)  # of each kind


def flipped(data: bytes, place: str, chance: random.Random) -> bytes:
    """The same bytes but for one bit of one of them."""
    size = len(data)
    first, stop = {
        "header": (0, min(EDGE, size)),
        "middle": (size // 3, max(size * 2 // 3, size // 3 + 1)),
        "end": (max(0, size - EDGE), size),
    }[place]
    at = chance.randrange(first, stop)
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def outcome(kind, folder, expected) -> str:
    """``"noticed"``, ``"same"`` or what was wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a warning may tell of the damage, with the same result
        try:
            found = kind.use(folder)
        except Noticed:
            return "noticed"
        except Exception as error:
            told = is_user_error(error) and "\n" not in str(error) and len(message(error)) < 1000
            return "noticed" if told else f"no line for a user: {error!r}"
    return "same" if found == expected else "silently wrong"


@pytest.mark.parametrize("name", KINDS)
def test_a_changed_byte_is_noticed_or_changes_nothing(name, tmp_path):
    kind = KINDS[name]
    original = tmp_path / "original"
    original.mkdir()
    kind.make(original)
    files = kind.files(original)
    expected = kind.use(shutil.copytree(original, tmp_path / "intact"))
    outcomes = []
    for number in range(FLIPS):
        chance = random.Random(f"{name} {number}")
        place = PLACES[number % len(PLACES)]
        file = chance.choice(files)
        copy = shutil.copytree(original, tmp_path / str(number))
        (copy / file).write_bytes(flipped((original / file).read_bytes(), place, chance))
        found = outcome(kind, copy, expected)
        outcomes.append(found if found in ("noticed", "same") else f"flip {number} ({place} of {file}): {found}")
        shutil.rmtree(copy)
    noticed, same = outcomes.count("noticed"), outcomes.count("same")
    sys.stdout.write(f"{name}: {FLIPS} flips, {noticed} noticed, {same} with the same result\n")
    assert not [found for found in outcomes if found not in ("noticed", "same")]
