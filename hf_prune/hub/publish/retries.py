"""Answers of the Hub: whether to ask again, how long to wait before, and one line for the user.

The client's `http_backoff` repeats a single request by its address, and `HfApi` (1.31 to 2.4) uses it for uploads and
listings only, not to create, to read a repository's state or to commit. Whether a commit may be sent again is known only
after looking for it, and the client waits as long as a server asks, however long that is; so these waits are our own.
"""

import json
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]  # public, though not marked as such

from hf_prune.data.source import HTTP_ERROR
from hf_prune.runtime.errors import UserError
from hf_prune.runtime.messages import one_line

T = TypeVar("T")

logger = logging.getLogger(__name__)

# Statuses and waits are those of the client, and 408.
_PASSING = (408, 429, 500, 502, 503, 504)
_WAITS_S = (1.0, 2.0, 4.0, 8.0, 8.0)
# A user who has to wait longer is asked to come back.
_LONGEST_WAIT_S = 600.0
_CONFLICT = (409, 412)
# No answer, one that reports an error, or one that is not the JSON that was asked for (a proxy's page).
TROUBLE: tuple[type[BaseException], ...] = (HTTP_ERROR, json.JSONDecodeError)


class ConflictError(UserError, OSError):
    """Another commit came in between."""


class UncertainError(UserError, OSError):
    """Whether the commit arrived is not known."""


def patiently(call: Callable[[], T]) -> T:
    """Call what does no harm if repeated, up to six times, with waits where the Hub has a trouble that passes."""
    for wait in _WAITS_S:
        try:
            return call()
        except TROUBLE as error:
            seconds = wait_asked(error)
            if not is_passing(error) or (seconds or 0.0) > _LONGEST_WAIT_S:
                raise
            seconds = wait if seconds is None else seconds + 1.0  # the Hub counts in whole seconds
            logger.warning("%s; asking again in %g s", server_line(error), seconds)
            time.sleep(seconds)
    return call()


def is_passing(error: BaseException) -> bool:
    """Whether the same call may succeed later: the server is in trouble or gave no answer."""
    return status(error) in (None, *_PASSING)


def is_conflict(error: BaseException) -> bool:
    """Whether another commit came in between."""
    return status(error) in _CONFLICT


def status(error: BaseException) -> int | None:
    """Return the status of an answer; None where there was none, or none that can be read."""
    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def wait_asked(error: BaseException) -> float | None:
    """Return the seconds that the Hub asks to wait, by ``Retry-After`` or ``RateLimit``; None where it does not."""
    if not isinstance(error, HfHubHTTPError):
        return None
    headers = error.response.headers
    seconds = headers.get("Retry-After", "").strip()
    if seconds.isdecimal():
        return float(seconds)
    limit = parse_ratelimit_headers(headers) if status(error) == 429 else None  # every answer has the header
    return float(limit.reset_in_seconds) if limit is not None and limit.remaining == 0 else None


def server_line(error: BaseException) -> str:
    """Return what the server, or else the error, says, in one line."""
    return one_line((isinstance(error, HfHubHTTPError) and error.server_message) or error)


def plain(error: BaseException, repo_id: str, state: str) -> OSError:
    """Return an error that says in one line what went wrong and what it means.

    Args:
        error: What the client raised.
        repo_id: The repository.
        state: What became of it.
    """
    answer = status(error)
    if answer in (401, 403):
        return PermissionError(
            f"the Hub refused {repo_id} ({answer}): log in with 'hf auth login' or pass token= with write access; {state}"
        )
    if is_conflict(error):
        return ConflictError(f"{repo_id} was changed meanwhile by another commit: {state}, push again")
    if answer is not None:
        seconds = wait_asked(error)
        later = f"try again after {seconds:g} s; " if seconds else ""
        return OSError(f"the Hub answered {answer} for {repo_id}: {server_line(error)}; {later}{state}")
    if isinstance(error, TROUBLE):
        return ConnectionError(f"the Hub cannot be reached ({server_line(error)}): {state}, try again once it can")
    return OSError(f"{repo_id} was not written ({server_line(error)}): {state}")
