"""A stop from outside is heeded wherever it falls."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IN_A_CALLBACK = """
import signal, time, weakref
from T1DiffLogic.cli import heed_signals

class Thing:
    pass

signal.signal(signal.SIGINT, signal.default_int_handler)
heed_signals()
thing = Thing()
watch = weakref.ref(thing, lambda _: (signal.raise_signal(signal.{name}), len("a")))
try:
    del thing
    for _ in range(500):
        time.sleep(0.01)
    print("lost")
except KeyboardInterrupt:
    print("heeded")
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_stop_within_a_weakref_callback_is_not_lost(name):
    ended = subprocess.run(
        [sys.executable, "-c", IN_A_CALLBACK.replace("{name}", name)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.stdout, ended.stderr) == ("heeded\n", "")


def test_a_stop_after_the_last_word_leaves_no_traceback():
    """Cleaning up at exit may take a while; whoever stops it then is told nothing about our insides."""
    script = (
        "import atexit, signal, sys\n"
        "from T1DiffLogic.cli import entry\n"
        "atexit.register(lambda: (signal.raise_signal(signal.SIGTERM), len('a')))\n"
        "sys.argv = ['t1diff', 'synthesize', '/nowhere', '-o', sys.argv[1], '--progress', 'none']\n"
        "entry()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, os.devnull],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in ended.stderr and ended.stderr.startswith("t1diff: ")
    assert ended.returncode in (1, -signal.SIGTERM)
