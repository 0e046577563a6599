"""A service's process: what ends it, and with which exit code."""

import json
import subprocess
import sys

PROGRAM = """
import sys, threading
from rollcall_service import lifecycle
from rollcall_service.logs import configure_logging

class Component:
    def start(self):
        threading.Thread(target=self._work, name="working").start()
    def stop(self):
        pass
    def _work(self):
        raise LookupError("ada@example.org")

def build():
    configure_logging("test", "test-1")
    return [Component()]

sys.exit(lifecycle.main(build))
"""
WITHIN = 20.0  # seconds


def test_a_thread_that_ends_by_an_exception_ends_the_process() -> None:
    """What it did is done no more, and whoever restarts the process has it done again."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=WITHIN
    )
    assert done.returncode == 1
    assert "ada@example.org" not in done.stderr
    said = {line["message"]: line for line in map(json.loads, done.stderr.splitlines())}
    assert said["a thread ended"]["thread_name"] == "working"
    assert said["a thread ended"]["error"]["type"] == "LookupError"
    assert "stopping" in said
