"""AclLite's names over gw's own device layer, for programs that were written for AclLite.

::

    acllite_resource    AclLiteResource, resource_list: the device opened, and what lives on it
    acllite_model       AclLiteModel: a loaded model; None on failure, as its programs expect
    acllite_image       AclLiteImage: an encoded or raw picture in one of four kinds of memory
    acllite_imageproc   AclLiteImageProc: JPEG decoding, resizing and pasting by the DVPP unit
    acllite_utils       checks of return codes, copies, alignments
    acllite_logger      log_error, log_warning, log_info, log_debug
    constants           the numbers
    resource, model, utils, logger   the newer generation, which raises
    flat/               the same modules by their bare names, for ``PYTHONPATH``
    loaded_model        what both generations of AclLiteModel stand on

Names, signatures and returns are AclLite's; docs/acllite.md says where behaviour is kinder. Both
import styles give the same objects: ``from acllite.acllite_model import AclLiteModel``, and, with
the folder that ``python -m acllite`` prints on ``PYTHONPATH``, ``from acllite_model import
AclLiteModel``.
"""
