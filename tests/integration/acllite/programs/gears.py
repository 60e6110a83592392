"""The newer generation: open from the constructor on, gears from the inputs' first axis."""

import sys

import numpy as np

from acllite.model import AclLiteModel
from acllite.resource import AclLiteResource


def main():
    """Run every gear, and what is refused."""
    resource = AclLiteResource()
    resource.init()
    for load_type in (0, 1):
        model = AclLiteModel(sys.argv[1], load_type)
        print("gears", model.batch_sizes)
        for batch in (1, 4, 2):
            (output,) = model.execute([np.ones((batch, 4), np.float32)])
            print("run", output.shape, float(output.sum()))
        model.destroy()
        model.destroy()
    wrong = (
        lambda: AclLiteModel("/nowhere.om"),
        lambda: AclLiteModel(sys.argv[1], 2),
        lambda: model.execute([np.ones((1, 4), np.float32)]),
        lambda: AclLiteModel(sys.argv[1]).execute([np.ones((3, 4), np.float32)]),
        lambda: AclLiteModel(sys.argv[1]).execute([]),
        lambda: AclLiteModel(__file__),
    )
    for call in wrong:
        try:
            call()
        except Exception as exc:
            print("refused", type(exc).__name__)


if __name__ == "__main__":
    main()
