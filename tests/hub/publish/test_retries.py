"""Answers of the Hub, as the client reports them: how long to wait, and what the user is told."""

import json
from types import SimpleNamespace

import pytest
from huggingface_hub.errors import HfHubHTTPError

from hf_prune.data.source import HTTP_ERROR
from hf_prune.hub.publish import retries

BROKEN = HTTP_ERROR("Server\ndisconnected")
PAGE = json.JSONDecodeError("Expecting value", "<html>", 0)


def answer(status, said=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    response = SimpleNamespace(status_code=status, headers=headers, request=None)
    return HfHubHTTPError(f"{status} for url\n(Request ID: 1)", response=response, server_message=said)


class Call:
    """Raises the given errors, one at each call, and returns its number of calls afterwards."""

    def __init__(self, *errors):
        self.errors, self.calls = list(errors), 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.calls


@pytest.fixture
def waits(monkeypatch):
    found = []
    monkeypatch.setattr(retries.time, "sleep", found.append)
    return found


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([], []),
        ([BROKEN, PAGE], [1, 2]),
        ([answer(status) for status in (408, 429, 500, 502, 503)], [1, 2, 4, 8, 8]),
        ([answer(504, Retry_After="7"), answer(429, RateLimit='"api";r=0;t=30')], [8, 31]),
        ([answer(429, RateLimit='"api";r=5;t=30')], [1]),  # more may be asked in this window
        ([answer(500, RateLimit='"api";r=0;t=30')], [1]),  # every answer has the header
        ([answer(503, Retry_After="0")], [1]),
        ([answer(503, Retry_After="600")], [601]),
        ([answer(503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")], [1]),
    ],
)
def test_what_passes_is_waited_for(waits, errors, expected):
    assert retries.patiently(Call(*errors)) == len(errors) + 1
    assert waits == expected


@pytest.mark.parametrize(
    "error", [answer(400), answer(401), answer(404), answer(409), answer(429, Retry_After="601"), OSError("disk")]
)
def test_what_does_not_pass_is_raised_at_once(waits, error):
    call = Call(error)
    with pytest.raises(type(error)) as caught:
        retries.patiently(call)
    assert (caught.value, call.calls, waits) == (error, 1, [])


def test_the_sixth_call_is_the_last(waits):
    call = Call(*[answer(500)] * 7)
    with pytest.raises(HfHubHTTPError):
        retries.patiently(call)
    assert (call.calls, waits) == (6, [1, 2, 4, 8, 8])


def test_each_wait_is_announced_in_one_line(waits, caplog):
    retries.patiently(Call(answer(503, "busy\nnow", Retry_After="3")))
    assert [record.getMessage() for record in caplog.records] == ["busy now; asking again in 4 s"]


def test_conflicts_are_no_trouble_that_passes():
    assert [retries.is_conflict(answer(status)) for status in (408, 409, 412, 500)] == [False, True, True, False]
    assert not retries.is_conflict(BROKEN)
    assert not retries.is_passing(answer(409))
    assert retries.is_passing(BROKEN)
    assert [retries.status(error) for error in (answer(404), BROKEN, PAGE)] == [404, None, None]


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (
            answer(401),
            PermissionError,
            "the Hub refused a/b (401): log in with 'hf auth login' or pass token= with write access; nothing was sent",
        ),
        (
            answer(412),
            retries.ConflictError,
            "a/b was changed meanwhile by another commit: nothing was sent, push again",
        ),
        (
            answer(429, "slow\ndown", Retry_After="3600"),
            OSError,
            "the Hub answered 429 for a/b: slow down; try again after 3600 s; nothing was sent",
        ),
        (
            answer(507),
            OSError,
            "the Hub answered 507 for a/b: 507 for url (Request ID: 1); nothing was sent",
        ),
        (
            BROKEN,
            ConnectionError,
            "the Hub cannot be reached (Server disconnected): nothing was sent, try again once it can",
        ),
        (OSError("disk\nfull"), OSError, "a/b was not written (disk full): nothing was sent"),
    ],
)
def test_errors_say_what_happened_in_one_line(error, kind, said):
    found = retries.plain(error, "a/b", "nothing was sent")
    assert (type(found), str(found)) == (kind, said)
