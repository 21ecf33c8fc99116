"""The AWS CLI of this interpreter, where names below s3.localhost lead to this machine."""

from __future__ import annotations

import sys

from awscli.clidriver import main

from tests.resolving import resolving

if __name__ == "__main__":
    with resolving("s3.localhost"):
        sys.exit(main())
