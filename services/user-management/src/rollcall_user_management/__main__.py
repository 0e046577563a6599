import os
import sys
from collections.abc import Sequence

from rollcall_service import lifecycle
from rollcall_service.lifecycle import Component
from rollcall_service.logs import configure_logging
from rollcall_user_management.bootstrap import build
from rollcall_user_management.settings import SERVICE, Settings


def components() -> Sequence[Component]:
    settings = Settings.from_env(os.environ)
    configure_logging(SERVICE, settings.replica_id, settings.log_level)
    return build(settings)


def main() -> None:
    sys.exit(lifecycle.main(components))


if __name__ == "__main__":
    main()
