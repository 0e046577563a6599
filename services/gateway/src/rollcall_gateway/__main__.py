"""`python -m rollcall_gateway`"""

import os
import sys

from rollcall_gateway.bootstrap import build
from rollcall_service import lifecycle


def main() -> int:
    return lifecycle.main(lambda: build(os.environ))


if __name__ == "__main__":
    sys.exit(main())
