import multiprocessing
import os
import signal

from hf_prune.runtime.file_locks import Lock, is_abandoned, lock


def test_a_lock_is_held_by_one_and_shared_by_many(tmp_path):
    with Lock(tmp_path / "lock") as first:
        assert first.held is True
        assert Lock(tmp_path / "lock").held is False
        assert Lock(tmp_path / "lock", shared=True).held is False
    shared = [Lock(tmp_path / "lock", shared=True) for _ in range(2)]
    assert [one.held for one in shared] == [True, True]
    assert Lock(tmp_path / "lock").held is False
    shared.clear()
    assert Lock(tmp_path / "lock").held is True


def test_where_no_lock_can_be_had_nothing_is_abandoned(tmp_path, monkeypatch):
    assert Lock(tmp_path / "nowhere" / "lock").held is None
    assert not is_abandoned(tmp_path / "nowhere")

    def unsupported(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", unsupported)
    (tmp_path / "file").touch()
    assert lock(os.open(tmp_path / "file", os.O_RDWR)) is None
    assert Lock(tmp_path / "file").held is None
    assert not is_abandoned(tmp_path / "file")


def hold(folder, ready):
    held = Lock(folder)
    ready.send(held.held)
    signal.pause()


def test_a_folder_is_abandoned_when_its_process_is_dead(tmp_path):
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    worker = context.Process(target=hold, args=(tmp_path, sender))
    worker.start()
    assert receiver.poll(60)
    assert receiver.recv() is True
    assert not is_abandoned(tmp_path)
    worker.kill()
    worker.join()
    assert is_abandoned(tmp_path)


def test_a_lock_file_that_was_removed_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    path, opened = tmp_path / "lock", os.open

    def removed_once(*given):
        descriptor = opened(*given)
        monkeypatch.setattr(os, "open", opened)
        path.unlink()
        return descriptor

    monkeypatch.setattr(os, "open", removed_once)
    assert Lock(path).held is True
    assert path.exists()
