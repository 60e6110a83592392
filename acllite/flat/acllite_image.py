"""``acllite.acllite_image``, for programs that import it by its bare name."""

import sys

from acllite import acllite_image

# The very module, not a copy of its names: programs replace functions of it.
sys.modules[__name__] = acllite_image
