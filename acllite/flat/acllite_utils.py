"""``acllite.acllite_utils``, for programs that import it by its bare name."""

import sys

from acllite import acllite_utils

# The very module, not a copy of its names: programs replace functions of it.
sys.modules[__name__] = acllite_utils
