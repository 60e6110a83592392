"""The words of an OM file: what it takes, what it gives, what it was built for.

Numbers of enumerations are those that the ``acl`` API uses; a number that is not listed here is
kept as it is, since newer CANN versions add some.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from omfile.aipp_text import AippConfig
from omfile.errors import MalformedOm
from omfile.source import Source

#: The names under which ATC adds inputs of its own.
BATCH_GEAR_INPUT = "ascend_mbatch_shape_data"
DYNAMIC_AIPP_INPUT = "ascend_dynamic_aipp_data"


class DataType(IntEnum):
    """What one element of a tensor is."""

    UNDEFINED = -1
    FLOAT = 0
    FLOAT16 = 1
    INT8 = 2
    INT32 = 3
    UINT8 = 4
    INT16 = 6
    UINT16 = 7
    UINT32 = 8
    INT64 = 9
    UINT64 = 10
    DOUBLE = 11
    BOOL = 12
    STRING = 13
    COMPLEX64 = 16
    COMPLEX128 = 17
    BF16 = 27
    INT4 = 29
    UINT1 = 30
    COMPLEX32 = 33


class Format(IntEnum):
    """How a tensor's axes are laid out."""

    UNDEFINED = -1
    NCHW = 0
    NHWC = 1
    ND = 2
    NC1HWC0 = 3
    FRACTAL_Z = 4
    NC1HWC0_C04 = 12
    HWCN = 16
    NDHWC = 27
    FRACTAL_NZ = 29
    NCDHW = 30
    NDC1HWC0 = 32
    FRACTAL_Z_3D = 33
    NC = 35
    NCL = 47


class PartitionKind(IntEnum):
    """What a part of the file holds."""

    MODEL_DEF = 0
    WEIGHTS = 1
    TASK_INFO = 2
    TBE_KERNELS = 3
    CUST_AICPU_KERNELS = 4
    SO_BINS = 5
    FLOW_MODEL = 6
    FLOW_SUBMODEL = 7
    MODEL_INOUT_INFO = 8
    STATIC_TASK_DESC = 9
    DYNAMIC_TASK_DESC = 10
    TASK_PARAM = 11
    TILING_DATA = 12
    BUNDLE_MODEL_INFO = 24
    VAR = 25
    CUSTOM_OPS = 26


class AippMode(StrEnum):
    """Whether pixels are converted on the chip before the model sees them."""

    NONE = "none"
    #: The conversion is built in: the input is the picture's bytes.
    STATIC = "static"
    #: The conversion is set at run time through a hidden input.
    DYNAMIC = "dynamic"


#: Bits per element; types that are not listed have no size of their own.
DTYPE_BITS: dict[int, int] = {
    DataType.FLOAT: 32,
    DataType.FLOAT16: 16,
    DataType.INT8: 8,
    DataType.INT32: 32,
    DataType.UINT8: 8,
    DataType.INT16: 16,
    DataType.UINT16: 16,
    DataType.UINT32: 32,
    DataType.INT64: 64,
    DataType.UINT64: 64,
    DataType.DOUBLE: 64,
    DataType.BOOL: 8,
    DataType.COMPLEX64: 64,
    DataType.COMPLEX128: 128,
    DataType.BF16: 16,
    DataType.COMPLEX32: 32,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """One input or output.

    *dims* is what the model declares, -1 on an axis that is free; *dims_v2* is the shape of the
    buffer where that differs (pictures in front of a built-in conversion), else equal to *dims*.
    *dtype* and *format* are DataType and Format numbers. *size_bytes* is the buffer's size, of the
    largest gear, 0 where it is not known before a run. *ranges* holds (least, most) per axis for
    a model that was built with shape ranges; -1 is "no upper limit".
    """

    name: str
    dims: tuple[int, ...]
    dims_v2: tuple[int, ...] = ()
    dtype: int = DataType.FLOAT
    format: int = Format.ND
    size_bytes: int = 0
    ranges: tuple[tuple[int, int], ...] = ()

    @property
    def is_hidden(self) -> bool:
        """Whether ATC added this input: the caller of the model does not see it."""
        return self.name in (BATCH_GEAR_INPUT, DYNAMIC_AIPP_INPUT)

    @property
    def dtype_name(self) -> str:
        """The element type in small letters, its number where it is not a known one."""
        return enum_name(DataType, self.dtype).lower()

    @property
    def format_name(self) -> str:
        """The layout's name, its number where it is not a known one."""
        return enum_name(Format, self.format)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gears:
    """The sizes a model was built for, where it was built for several. At most one is not empty.

    *dynamic_batch* lists batch sizes; *dynamic_hw* (height, width) pairs; *dynamic_dims* one value
    for each free axis, over all inputs in order.
    """

    dynamic_batch: tuple[int, ...] = ()
    dynamic_hw: tuple[tuple[int, int], ...] = ()
    dynamic_dims: tuple[tuple[int, ...], ...] = ()

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self.dynamic_batch or self.dynamic_hw or self.dynamic_dims)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aipp:
    """The pixel unit in front of the model. *evidence* says what gave it away.

    *configs* holds the settings, one per converted input, where the file carries them in a form
    that is known: synthetic files do.
    """

    mode: AippMode = AippMode.NONE
    evidence: str = ""
    configs: tuple[AippConfig, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One part of the file. *model_index* counts the models in it; *kind* is a PartitionKind."""

    kind: int
    offset_bytes: int
    size_bytes: int
    model_index: int = 0

    @property
    def kind_name(self) -> str:
        """The part's name, its number where it is not a known one."""
        return enum_name(PartitionKind, self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first 256 bytes. *payload_bytes* is what follows; *has_wide_table* says which layout."""

    version: int
    payload_bytes: int
    has_wide_table: bool
    is_encrypted: bool
    model_type: int
    name: str
    user_info: str
    om_ir_version: int
    model_num: int
    platform_version: str
    needs_os_cpu_check: bool
    is_unknown_model: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OmFile:
    """What an OM says about itself. Nothing of it needs an NPU.

    *inputs* includes hidden ones, in the order that the API counts them. Texts are empty and sizes
    0 where the file is silent; an empty *soc_version* fits every chip, as the loader has it.
    *is_emulated* marks a synthetic file, whose weights are an ONNX graph.
    """

    name: str
    header: Header
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    gears: Gears
    is_dynamic_shape: bool
    aipp: Aipp
    soc_version: str
    atc_version: str
    opp_version: str
    atc_cmdline: str
    work_bytes: int
    weight_bytes: int
    host_env_os: str
    host_env_cpu: str
    is_emulated: bool
    partitions: tuple[Partition, ...]
    source: Source = field(repr=False, compare=False)

    @property
    def size_bytes(self) -> int:
        """The whole file."""
        return self.source.size_bytes

    @property
    def visible_inputs(self) -> tuple[TensorInfo, ...]:
        """The inputs that the model's author declared."""
        return tuple(tensor for tensor in self.inputs if not tensor.is_hidden)

    @property
    def hidden_inputs(self) -> tuple[TensorInfo, ...]:
        """The inputs that ATC added."""
        return tuple(tensor for tensor in self.inputs if tensor.is_hidden)

    def find(self, kind: int, model_index: int = 0) -> Partition | None:
        """Give the first part of that kind of one model, None where there is none."""
        return next(
            (p for p in self.partitions if p.kind == kind and p.model_index == model_index), None
        )

    def partition(self, kind: int, model_index: int = 0) -> bytes:
        """Read a part into memory; raises MalformedOm where there is none of that kind."""
        found = self.find(kind, model_index)
        if found is None:
            raise MalformedOm(
                f"the file has no part {enum_name(PartitionKind, kind)}: build the model again"
            )
        return self.source.read(found.offset_bytes, found.size_bytes)


def enum_name(enumeration: type[IntEnum], value: int) -> str:
    """Name *value*, or show its number."""
    try:
        return enumeration(value).name
    except ValueError:
        return str(value)
