import os
import sys

from rollcall_service import lifecycle
from rollcall_slack_notification.bootstrap import build
from rollcall_slack_notification.settings import from_env


def main() -> int:
    return lifecycle.main(lambda: build(from_env(os.environ)))


if __name__ == "__main__":
    sys.exit(main())
