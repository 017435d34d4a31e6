"""Sending to a Hub in trouble: a push finishes, or leaves the repository as it was and says so in one line."""

import pytest

from tests.helpers.hub_client import work
from tests.helpers.hub_faults import Fault
from tests.helpers.hub_server import Hub
from tests.helpers.hub_storage import Blob, Repo

UNTOUCHED = "nothing was published"


LATER = {"headers": {"Retry-After": "7"}}
# Repository → requests to it that fail at first: what they ask for ("ID" is the repository), the answer's status, more.
PASSING = {
    "upload-breaks": [("^PUT /lfs/.*ID", None, {})],
    "upload-429": [("^PUT /lfs/.*ID", 429, LATER)],
    "upload-500": [("^PUT /lfs/.*ID", 500, LATER)],
    "commit-breaks": [("ID/commit/", None, {"times": 2})],
    "commit-429": [("ID/commit/", 429, LATER)],
    "commit-500": [("ID/commit/", 500, LATER)],
    "commit-lost": [("ID/commit/", None, {"answer_is_lost": True})],
    "request-lost": [("ID/commit/", None, {"answer_is_lost": True})],
    "limited": [("ID/commit/", 429, {"headers": {"RateLimit": '"api";r=0;t=30'}})],
    "page": [("/validate-yaml.*ID", 502, {"headers": {"Content-Type": "text/html"}})],
    "conflict-409": [("ID/commit/", 409, {})],
    "read-503": [("^GET /api/datasets/.*ID$", 503, {"times": 2})],
    "create-500": [("/repos/create.*ID", 500, {})],
    "branch-500": [("ID/branch/", 500, {})],
    "text-503": [("ID/resolve/", 503, {}), ("ID/resolve/", None, {})],
    "new": [("ID/commit/", 500, {"times": 6})],
}
# The same for requests that fail ever after, once the repository has what was sent first.
LASTING = {
    "expired-upload": ("ID.git/info/lfs", 401, {}),
    "expired-commit": ("ID/commit/", 401, {}),
    "always-500": ("ID/commit/", 500, {}),
    "always-breaks": ("ID/commit/", None, {}),
    "always-412": ("ID/commit/", 412, {}),
    "quota": ("ID.git/info/lfs", 403, {}),
    "store-full": ("^PUT /lfs/.*ID", 507, {}),
    "invalid": ("/validate-yaml.*ID", 400, {}),
    "long-wait": ("ID/commit/", 429, {"headers": {"Retry-After": "3600"}}),
}


def fault(name, request, status=None, **keywords):
    # the name may stand in a path, or in a body that quotes it
    return Fault(request.replace("ID", rf"{name}(?![\w-])"), status, **keywords)


def then(*faults):
    return lambda server: server.faults.extend(faults)


def faults():
    """Everything that goes wrong."""
    found = [
        fault(name, request, status, **more) for name, rules in PASSING.items() for request, status, more in rules
    ]
    for name, (request, status, more) in LASTING.items():
        found.append(fault(name, "ID/commit/", call=then(fault(name, request, status, times=99, **more))))
    # To whom may not see it, a private repository looks as if it were not there: from the second look on.
    hidden = fault("expired-read", "^GET .*/ID$", 401, times=99, headers={"X-Error-Code": "RepoNotFound"})
    look = fault("expired-read", "^GET .*/ID$", call=then(hidden))
    dead = fault("uncertain", "(GET|HEAD) .*ID", times=99)
    lost = fault("uncertain", "ID/commit/", answer_is_lost=True, call=then(dead))
    return [
        *found,
        fault("expired-read", "ID/commit/", call=then(look)),
        fault("uncertain", "ID/commit/", call=then(lost)),
        fault("turned", "/repos/create.*ID", call=lambda server: make_public(server, "somebody/turned")),
    ]


def make_public(hub, repo_id):
    hub.repos[repo_id] = repo = Repo()
    repo.commit("main", {".gitattributes": Blob(0)}, "initial commit")


@pytest.fixture(scope="module")
def hub():
    with Hub() as server:
        server.faults += faults()
        make_public(server, "somebody/unfilled")
        yield server


@pytest.fixture(scope="module")
def found(hub, tmp_path_factory):
    """All jobs in one process, since starting one takes seconds."""
    return work(hub, tmp_path_factory.mktemp("sending"), "sending_jobs")


def commits(hub, name):
    """Commits that were made by a push, and times that one was asked for."""
    asked = [request for request in hub.requests if request.startswith(f"POST /api/datasets/somebody/{name}/commit/")]
    return len([message for message in hub.repos[f"somebody/{name}"].messages if message.startswith("Upload")]), len(
        asked
    )


@pytest.mark.parametrize(
    ("name", "waits"),
    [
        ("upload-breaks", [1]),
        ("upload-429", [8]),  # Retry-After and one second more
        ("upload-500", [8]),
        ("commit-breaks", [1, 2]),
        ("commit-429", [8]),
        ("commit-500", [8]),
        ("limited", [31]),
        ("page", [1]),
        ("read-503", [1, 2]),
        ("create-500", [1]),
        ("branch-500", [1]),
        ("unfilled", []),
    ],
)
def test_trouble_that_passes(hub, found, name, waits):
    result = found["finishing"][name]
    assert (result["error"], result["waits"]) == ("", waits)
    assert commits(hub, name)[0] == 1
    branch = "side" if name == "branch-500" else "main"
    assert result["commit"] == hub.repos[f"somebody/{name}"].branches[branch]


def test_texts_that_are_read_are_asked_for_again(hub, found):
    assert (found["finishing"]["text-503"]["error"], found["finishing"]["text-503"]["waits"]) == ("", [1])
    assert commits(hub, "text-503") == (2, 2)


def test_a_commit_whose_answer_is_lost_is_found_and_not_sent_again(hub, found):
    assert commits(hub, "commit-lost") == (1, 1)
    result = found["finishing"]["commit-lost"]
    assert result["commit"] == hub.repos["somebody/commit-lost"].branches["main"]
    assert result["address"] == f"{hub.endpoint}/datasets/somebody/commit-lost/commit/{result['commit']}"


def test_a_pull_request_whose_answer_is_lost_is_found(hub, found):
    assert commits(hub, "request-lost") == (1, 1)
    result = found["finishing"]["request-lost"]
    assert result["request"] == f"{hub.endpoint}/datasets/somebody/request-lost/discussions/1"
    assert result["commit"] == hub.repos["somebody/request-lost"].branches["refs/pr/1"]


def test_another_writer_who_comes_in_between_does_not_stop_a_push(hub, found):
    assert found["finishing"]["conflict-409"]["error"] == ""
    assert commits(hub, "conflict-409") == (1, 2)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("expired-upload", "PermissionError: the Hub refused somebody/expired-upload (401): log in with"),
        ("expired-commit", "PermissionError: the Hub refused somebody/expired-commit (401): log in with"),
        ("expired-read", "PermissionError: the Hub refused somebody/expired-read (401): log in with"),
        ("quota", "PermissionError: the Hub refused somebody/quota (403): log in with"),
        ("always-500", "OSError: the Hub answered 500 for somebody/always-500: trouble number 500;"),
        ("always-breaks", "ConnectionError: the Hub cannot be reached (Server disconnected"),
        ("always-412", "ConflictError: somebody/always-412 was changed meanwhile by another commit"),
        ("store-full", "OSError: the Hub answered 507 for somebody/store-full: trouble number 507;"),
        ("invalid", "OSError: somebody/invalid was not written (Invalid metadata in README.md."),
        (
            "long-wait",
            "OSError: the Hub answered 429 for somebody/long-wait: trouble number 429; try again after 3600 s",
        ),
    ],
)
def test_trouble_that_stays_leaves_everything_as_it_was(hub, found, name, error):
    before, after = found["failing"][name]
    assert after["error"].startswith(error)
    assert UNTOUCHED in after["error"]
    assert "\n" not in after["error"]
    repo = hub.repos[f"somebody/{name}"]
    assert (commits(hub, name)[0], repo.branches["main"]) == (1, before["commit"])


def test_waiting_ends(hub, found):
    assert found["failing"]["always-500"][1]["waits"] == [1, 2, 4, 8, 8]
    assert found["failing"]["long-wait"][1]["waits"] == []
    assert commits(hub, "always-412")[1] == 5  # one that went well and four that did not


def test_a_commit_that_cannot_be_looked_for(hub, found):
    error = found["failing"]["uncertain"][1]["error"]
    assert error.startswith("UncertainError: the connection broke while the commit was sent and somebody/uncertain ")
    assert UNTOUCHED not in error
    assert commits(hub, "uncertain") == (2, 2)


def test_a_new_repository_that_was_not_filled_is_named_and_filled_by_the_next_push(hub, found):
    first, second = found["failing"]["new"]
    assert first["error"].endswith("nothing was published, and the new repository is empty")
    assert second["error"] == ""
    assert commits(hub, "new") == (1, 7)


def test_pushing_the_same_again_sends_nothing_and_says_so(hub, found):
    first, again, request = (found["unchanged"][name] for name in ("first", "again", "request"))
    for result in (again, request):
        assert result["commit"] == first["commit"]
        assert result["warnings"] == ["somebody/same holds all this already: nothing was sent"]
    assert first["warnings"] == []
    assert found["unchanged"]["less"]["warnings"] == [], "one shard instead of two is a change"
    assert commits(hub, "same") == (2, 2)
    first, again = found["unchanged"]["cards"]
    assert first == again


def test_pull_requests_leave_the_branch_alone(hub, found):
    results = found["requests"]
    assert results["fresh"]["request"] == f"{hub.endpoint}/datasets/somebody/asked/discussions/1"
    assert results["rows"] == [6, 10]
    repo = hub.repos["somebody/asked"]
    assert repo.branches["main"] == results["base"]["commit"]
    assert repo.branches["refs/pr/2"] == results["second"]["commit"]


def test_private_touches_nothing_public(hub, found):
    results = found["private"]
    assert (results["hidden"]["error"], results["hidden again"]["error"]) == ("", "")
    assert hub.repos["somebody/hidden"].private
    for name, earlier in (("open", 1), ("turned", 0)):
        assert results[name]["error"] == (
            f"InputError: private=True, but somebody/{name} is there and public: nothing was published; "
            "make it private in its settings, or name another"
        )
        assert commits(hub, name) == (earlier, earlier)
    sent = [request for request in hub.requests if "somebody/turned" in request and not request.startswith("GET")]
    assert sent == []


def test_many_shards_go_in_one_commit(hub, found):
    assert found["large"]["sent"]["error"] == ""
    assert commits(hub, "large") == (1, 1)
    shards = [name for name in hub.repos["somebody/large"].files("main") if name.endswith(".parquet")]
    assert len(shards) > 2
    assert found["large"]["rows"] == 100


def test_a_full_disk(hub, found):
    error = found["large"]["full"]["error"]
    assert error.startswith("OSError: there is no room for the files in ")
    assert UNTOUCHED in error
    assert "somebody/full" not in hub.repos
