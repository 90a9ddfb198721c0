"""The child process behind long work: what it prints in pieces, how it ends, that it can be used again."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture
def engine(host):
    from T1DiffLib.engine_process import EngineProcess

    return EngineProcess({"PYTHONUNBUFFERED": "1"}, sys.executable)


def run(engine, host, script):
    """(progress told, outcome) of a Python script."""
    told, outcomes = [], []
    engine.start(["-c", script], lambda *p: told.append(p), outcomes.append)
    host.wait_for(lambda: outcomes, 60)
    host.spin(50)
    assert len(outcomes) == 1, "the end is told once"
    return told, outcomes[0]


def test_events_may_come_in_any_pieces(host):
    from T1DiffLib.engine_process import Events

    events = Events()
    text = '{"event": "progress", "stage": "segment", "fraction": 0.25, "message": "é"}\n'.encode()
    assert [events.feed(text[i : i + 1]) for i in range(len(text))].count(True) == 1
    assert events.progress == ("segment", 0.25)
    events.feed(b'a library says hello\n{"event": "progr')
    events.feed(b'ess", "stage": "write", "fraction": 1.0}\n{"odd": 1}\n[1]\n')
    assert events.progress == ("write", 1.0)


def test_done_needs_the_childs_own_word(engine, host):
    good = 'print(\'{"event": "progress", "stage": "read", "fraction": 1}\'); print(\'{"event": "done"}\')'
    told, outcome = run(engine, host, good)
    assert told[-1] == ("read", 1.0) and outcome.status == "done"
    _, outcome = run(engine, host, "pass")
    assert outcome.status == "failed", "an exit without the event is no success"


def test_every_end_has_a_sentence(engine, host):
    script = 'import sys; print(\'{"event": "error", "message": "the folder is empty."}\'); sys.exit(1)'
    assert run(engine, host, script)[1].message == "the folder is empty."
    message = run(engine, host, "import no_such_package_at_all")[1].message
    assert "package is missing" in message and "no_such_package_at_all" in message
    assert (
        "crashed" in run(engine, host, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")[1].message
    )


def test_a_program_that_is_not_there(host):
    from T1DiffLib.engine_process import EngineProcess

    _, outcome = run(EngineProcess({}, "/no/such/python"), host, "pass")
    assert outcome.status == "failed" and outcome.message


def test_a_child_that_ignores_the_request_is_ended_by_force(engine, host, monkeypatch, tmp_path):
    monkeypatch.setattr("T1DiffLib.engine_process.GRACE_MS", 300)
    ready = tmp_path / "ready"
    script = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"open({str(ready)!r}, 'w').close()\n"
        "time.sleep(60)"
    )
    outcomes = []
    engine.start(["-c", script], lambda *_: None, outcomes.append)
    host.wait_for(ready.exists, 30)
    engine.cancel()
    host.wait_for(lambda: outcomes, 10)
    assert outcomes[0].status == "cancelled" and not engine.running
