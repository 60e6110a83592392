"""Detection in AclLite's manner: package imports, preparing with OpenCV, globals as they come."""

import sys

import cv2
import numpy as np

import acllite.acllite_utils as utils
import acllite.constants as const
from acllite.acllite_model import AclLiteModel
from acllite.acllite_resource import AclLiteResource

SIDE = 32

acl_resource = AclLiteResource()
acl_resource.init()
acl_resource.init()
model = AclLiteModel(sys.argv[1])


@utils.display_time
def pre_process(path):
    """Give the model's input."""
    picture = cv2.resize(cv2.imread(path), (SIDE, SIDE))
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[np.newaxis], np.float32)


def main():
    """Print the mean of each colour, found twice."""
    for path in sys.argv[2:]:
        values = pre_process(path)
        first = model.execute([values])
        # A bare array stands for its first axis, as programs have it.
        second = model.execute(values)
        assert np.array_equal(first[0], second[0])
        print("means", *(f"{mean:.0f}" for mean in first[0].flatten()))
    assert model.execute([values, values]) is None
    return const.SUCCESS


if __name__ == "__main__":
    sys.exit(main())
