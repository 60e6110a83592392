"""acl.himpi: the picture units, second interface."""

from acl._himpi_calls import (
    dvpp_free,
    dvpp_malloc,
    sys_exit,
    sys_init,
    vdec_create_chn,
    vpc_create_chn,
    vpc_destroy_chn,
    vpc_get_process_result,
    vpc_resize,
    vpc_sys_create_chn,
)

__all__ = [
    "dvpp_free",
    "dvpp_malloc",
    "sys_exit",
    "sys_init",
    "vdec_create_chn",
    "vpc_create_chn",
    "vpc_destroy_chn",
    "vpc_get_process_result",
    "vpc_resize",
    "vpc_sys_create_chn",
]
