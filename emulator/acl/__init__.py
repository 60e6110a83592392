"""An ``acl`` for machines without CANN: strict about the interface, real about memory.

Put this folder on PYTHONPATH, and a program that says ``import acl`` runs on a CPU. The names are
those of the binding that comes with CANN, and nothing else; docs/emulator.md tells how to set the
emulated board, what is checked, and what is not emulated.
"""

from acl import _omfile_here, himpi, mdl, media, rt, util  # noqa: F401 - the first finds omfile
from acl._datasets import (
    create_data_buffer,
    create_tensor_desc,
    destroy_data_buffer,
    destroy_tensor_desc,
    get_data_buffer_addr,
    get_data_buffer_size,
    get_data_buffer_size_v2,
    update_data_buffer,
)
from acl._lifecycle import (
    app_log,
    data_type_size,
    finalize,
    finalize_reference,
    get_cann_attribute,
    get_cann_attribute_list,
    get_cann_version,
    get_device_capability,
    get_recent_err_msg,
    get_soc_name,
    get_version,
    init,
)

__all__ = [
    "app_log",
    "create_data_buffer",
    "create_tensor_desc",
    "data_type_size",
    "destroy_data_buffer",
    "destroy_tensor_desc",
    "finalize",
    "finalize_reference",
    "get_cann_attribute",
    "get_cann_attribute_list",
    "get_cann_version",
    "get_data_buffer_addr",
    "get_data_buffer_size",
    "get_data_buffer_size_v2",
    "get_device_capability",
    "get_recent_err_msg",
    "get_soc_name",
    "get_version",
    "himpi",
    "init",
    "mdl",
    "media",
    "rt",
    "update_data_buffer",
    "util",
]
