"""Connections by which processes that work together notice that one of them has failed, or has gone.

Collectives of torch are no help there: what waits in one for a process on a machine that lost its power waits for half an hour,
as does one whose partner needs so long, and what computes meanwhile learns nothing before its own share is done. Here every
process holds a connection to the first. The kernel closes it with the process, however that ends, and notices within a
minute that a machine has gone; no process has to give signs of life for that. Only single bytes travel.
"""

import hmac
import logging
import os
import secrets
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

ARRIVED, FAILED, GO, BUSY = b"a", b"f", b"g", b"b"
PATIENCE = (
    1800.0  # seconds without a word from anybody after which waiting ends: a process may hang without being gone
)
CONNECT = 10.0  # seconds in which processes connect
_TOKEN = 16  # bytes
# Seconds that a connection is idle before the kernel asks, between two questions, and how many may go unanswered; and
# milliseconds in which what was sent has to have come.
_KEEPALIVE = {
    "TCP_KEEPIDLE": 15,
    "TCP_KEEPALIVE": 15,
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 5,
    "TCP_USER_TIMEOUT": 40_000,
}


_made: dict[str, Any] = {"group": None, "lifeline": None}

logger = logging.getLogger(__name__)


class Lifeline:
    """The connections of one process: of the first one to all others, of these to the first.

    Args:
        peers: Number of a process → the connection to it.
        is_first: Whether this is the first process.
    """

    def __init__(self, peers: dict[int, socket.socket], *, is_first: bool) -> None:
        self._peers, self._is_first = peers, is_first
        self._arrived: set[int] = set()  # of those that the first one waits for
        self._failed = self._may_go = False
        self._gone: str | None = None
        self._selector = selectors.DefaultSelector()
        for number, peer in peers.items():
            peer.setblocking(False)
            self._selector.register(peer, selectors.EVENT_READ, number)

    def arrive(self, *, failed: bool = False) -> None:
        """Wait until every process has come here; ``failed`` calls those that are still at work.

        Raises:
            ConnectionError: If a process has gone.
            TimeoutError: If nobody said anything for half an hour.
        """
        if self._is_first:
            if failed:
                self._tell(FAILED, self._peers.keys() - self._arrived)
            self._listen_until(lambda: len(self._arrived) == len(self._peers))
            self._arrived.clear()
            self._failed = False
            self._tell(GO, self._peers)
        else:
            self._tell(FAILED if failed else ARRIVED, self._peers)
            self._listen_until(lambda: self._may_go)
            self._failed = self._may_go = False

    def has_failed(self) -> bool:
        """Return whether a process has failed and waits in `arrive`, and tell those that wait that this one is at work.

        Raises:
            ConnectionError: If a process has gone.
        """
        while self._listen(0.0):
            pass
        self._tell(BUSY, set(self._arrived) if self._is_first else self._peers)
        return self._failed

    def close(self) -> None:
        """Close the connections, by which all others learn that this process has gone."""
        self._selector.close()
        for peer in self._peers.values():
            peer.close()

    def _listen_until(self, done: Callable[[], bool]) -> None:
        while not done():
            if not self._listen(PATIENCE):
                raise TimeoutError(f"nobody has said anything for {PATIENCE:.0f} s")

    def _listen(self, seconds: float) -> bool:
        """Take in what comes within some seconds; return whether something did."""
        if self._gone is not None:
            raise ConnectionError(self._gone)
        ready = self._selector.select(seconds)
        for key, _ in ready:
            try:
                said = self._peers[key.data].recv(4096)
            except OSError:
                said = b""
            if not said:
                self._lose(key.data)
            for word in said:
                self._hear(key.data, bytes([word]))
        return bool(ready)

    def _hear(self, number: int, word: bytes) -> None:
        if not self._is_first:
            self._may_go |= word == GO
            self._failed |= word == FAILED
        elif word == BUSY:
            self._tell(BUSY, set(self._arrived))
        else:
            self._arrived.add(number)
            if word == FAILED:
                self._failed = True
                self._tell(FAILED, self._peers.keys() - self._arrived)

    def _tell(self, word: bytes, numbers: Any) -> None:
        if self._gone is not None:
            raise ConnectionError(self._gone)
        for number in numbers:
            try:
                self._peers[number].send(word)
            except BlockingIOError:  # thousands of unread bytes: a process that hangs learns nothing more
                continue
            except OSError:
                self._lose(number)

    def _lose(self, number: int) -> None:
        """Pass on that a process has gone, by closing the connections to the others."""
        self._gone = f"process {number} has gone"
        self.close()
        raise ConnectionError(self._gone)


def lifeline_of(group: object, rank: int, world: int, gather: Callable[[Any], list[Any]]) -> Lifeline | None:
    """Return the connections of this process within a process group, made at the first call; arguments as of `connect`."""
    if _made["group"] is not group:
        _made.update(group=group, lifeline=connect(rank, world, gather))
        if _made["lifeline"] is None:
            logger.warning("process 0 cannot be reached at a port of its own: a lost process is noticed late")
    made: Lifeline | None = _made["lifeline"]
    return made


def connect(rank: int, world: int, gather: Callable[[Any], list[Any]]) -> Lifeline | None:
    """Connect every process to the first one; None in all where one of them cannot, as behind a firewall.

    Args:
        rank: Number of this process.
        world: How many there are.
        gather: Returns what each process gives, in rank order.
    """
    listener = None
    if rank == 0:
        with suppress(OSError):
            listener = _listener()
    held = None if listener is None else (listener.getsockname()[1], secrets.token_bytes(_TOKEN))
    offered = gather(held)[0]
    peers: dict[int, socket.socket] = {}
    if offered is not None:
        port, token = offered
        with suppress(OSError):
            peers = _accept(listener, world, token) if listener is not None else {0: _call(port, token, rank)}
    if listener is not None:
        listener.close()
    if all(gather(len(peers) == (world - 1 if rank == 0 else 1))):
        return Lifeline(peers, is_first=rank == 0)
    for peer in peers.values():
        peer.close()
    return None


def _listener() -> socket.socket:
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    return socket.create_server(("", 0), family=family, dualstack_ipv6=both)


def _accept(listener: socket.socket, world: int, token: bytes) -> dict[int, socket.socket]:
    """Take the connections of all others; whoever does not know the token is turned away."""
    listener.settimeout(CONNECT)
    peers: dict[int, socket.socket] = {}
    while len(peers) < world - 1:
        peer = _kept_alive(listener.accept()[0])
        said = b""
        while len(said) < _TOKEN + 4 and (more := peer.recv(_TOKEN + 4 - len(said))):
            said += more
        number = int.from_bytes(said[_TOKEN:], "little")
        if hmac.compare_digest(said[:_TOKEN], token) and 0 < number < world:
            peers[number] = peer
        else:
            peer.close()
    return peers


def _call(port: int, token: bytes, rank: int) -> socket.socket:
    peer = _kept_alive(socket.create_connection((os.environ.get("MASTER_ADDR", "127.0.0.1"), port), timeout=CONNECT))
    peer.sendall(token + rank.to_bytes(4, "little"))
    return peer


def _kept_alive(peer: socket.socket) -> socket.socket:
    peer.settimeout(CONNECT)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):  # systems differ in what they know
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return peer
