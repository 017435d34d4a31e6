"""What can go wrong at the Hub, for the server of the tests."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.helpers.hub_storage import HangUpError, HubError


@dataclass
class Fault:
    """The next requests that fit fail.

    Attributes:
        pattern: Regular expression that is searched in ``"METHOD /path"``; what follows where the path
            names no repository is the body.
        status: Status of the answer; None gives no answer, and the connection is closed.
        times: How many requests fail.
        headers: Headers of the answer.
        answer_is_lost: The request is obeyed, and only then the connection is closed.
        call: Called with the server instead of failing; the request is then answered as if nothing were, or not.
    """

    pattern: str
    status: int | None = None
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    answer_is_lost: bool = False
    call: Callable[[Any], object] | None = None

    def fits(self, asked: str) -> bool:
        if self.times == 0 or not re.search(self.pattern, asked):
            return False
        self.times -= 1
        return True

    def happen(self, hub: Any) -> None:
        if self.call is not None:
            self.call(hub)
        elif not self.answer_is_lost:
            if self.status is None:
                raise HangUpError
            raise HubError(self.status, f"trouble number {self.status}", headers=self.headers)
