"""kill -9 and SIGSTOP wherever it hurts, under load, and whether everything still agrees.

Run: python -m faults --times 50 (make crash N=50). Exits 1 on a violation, and leaves the
state directory then.
"""

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from e2e.addresses import environment, ports_of
from faults import campaign, cluster

from rollcall_local.home import Home


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50, help="of each kind of fault")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    # A SIGTERM ends it as Ctrl-C does: with everything stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    home = Home(Path(tempfile.mkdtemp(prefix="rollcall-crash-")) / "state")
    ports = ports_of(environment(home.root))
    _say(f"{given.times} times each kind of fault, seed {given.seed}, in {home.root}")
    try:
        with cluster.running(home, ports) as running:
            report = campaign.run(running, given.times, given.seed, _say)
    except KeyboardInterrupt:
        shutil.rmtree(home.root.parent)
        _say("interrupted: everything is stopped and removed")
        return 130
    for line in campaign.summary(report):
        _say(line)
    if not report.clean:
        return 1
    shutil.rmtree(home.root.parent)
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
