"""``acllite.constants``, for programs that import it by its bare name."""

import sys

from acllite import constants

# The very module, not a copy of its names: programs replace functions of it.
sys.modules[__name__] = constants
