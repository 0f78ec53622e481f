"""`python -m broker` is `trimaran`."""

import sys

from broker.cli import main

sys.exit(main())
