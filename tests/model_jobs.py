"""What a user does with model repositories, run by ``test_model_files.py`` in a process of its own.

``python -m tests.model_jobs FILE JOBS`` writes what the job found to the file as JSON.
"""

import json
import sys
from pathlib import Path

from hf_prune import Prototypes
from tests.test_fitted_prototypes import coloured


def prototypes():
    """Fitted, pushed, opened at a commit, pushed again."""
    ds = coloured()
    made = Prototypes.fit(ds, "pixels", num_prototypes=3, image_size=4, load_from_cache_file=False)
    commit = made.push_to_hub("somebody/fitted")
    opened = Prototypes.from_pretrained("somebody/fitted", revision=commit.oid)
    images = ds["image"][:4]
    found = {
        "same": opened.score(images).tolist() == made.score(images).tolist(),
        "config": opened.config == made.config,
    }
    try:
        Prototypes.from_pretrained("somebody/nothing")
    except FileNotFoundError as error:
        found["nothing"] = str(error)
    return found


if __name__ == "__main__":
    results = {job.__name__: job() for job in (prototypes,) if job.__name__ in sys.argv[2].split(",")}
    Path(sys.argv[1]).write_text(json.dumps(results))
