"""A program with a resource class of its own, over AclLite's list of resources."""

import sys

import acl
import acllite_logger
import numpy as np
from acllite_resource import resource_list

acllite_logger.log_info = lambda *words: None

from acllite_model import AclLiteModel  # noqa: E402  # after the logger is quiet


class Resource:
    """The device, opened by hand."""

    def __init__(self):
        acl.init()
        acl.rt.set_device(0)
        self.context, _ = acl.rt.create_context(0)
        self.stream, _ = acl.rt.create_stream()

    def __del__(self):
        resource_list.destroy()
        acl.rt.destroy_stream(self.stream)
        acl.rt.destroy_context(self.context)
        acl.rt.reset_device(0)
        acl.finalize()


def main():
    """Run two batches, and what fails."""
    resource = Resource()
    model = AclLiteModel(sys.argv[1], load_type=1)
    for batch in (4, 1):
        items = np.arange(batch * 4, dtype=np.float32).reshape(batch, 4)
        outputs = model._execute_with_dynamic_batch_size([items], batch)
        print("batch", batch, outputs[0].shape, outputs[0][:batch].flatten().tolist())
    print("no gear", model._execute_with_dynamic_batch_size([items], 3))
    missing = AclLiteModel("/nowhere/model.om")
    print("missing", missing.execute([items]))
    del resource


main()
