"""`python -m post3`."""

import sys

from post3.cli import main

sys.exit(main())
