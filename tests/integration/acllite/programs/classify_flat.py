"""Classification in AclLite's manner: flat imports, decoding and resizing by the DVPP unit."""

import sys

import numpy as np
from acllite_image import AclLiteImage
from acllite_imageproc import AclLiteImageProc
from acllite_model import AclLiteModel
from acllite_resource import AclLiteResource

SIDE = 64


class Classify:
    """A model behind the DVPP unit."""

    def __init__(self, model_path):
        self.resource = AclLiteResource()
        self.resource.init()
        self.dvpp = AclLiteImageProc(self.resource)
        self.model = AclLiteModel(model_path)

    def classify(self, path):
        """Give the outputs for the picture at *path*."""
        picture = AclLiteImage(path)
        decoded = self.dvpp.jpegd(picture.copy_to_dvpp())
        resized = self.dvpp.resize(decoded, SIDE, SIDE)
        return self.model.execute([resized])


def main():
    """Print the best class of each picture."""
    model_path, *pictures = sys.argv[1:]
    classifier = Classify(model_path)
    for path in pictures:
        scores = classifier.classify(path)[0].flatten()
        best = int(np.argmax(scores))
        print("class", best, f"{scores[best]:.2f}")


if __name__ == "__main__":
    main()
