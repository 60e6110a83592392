"""The model card: what ``model.toml`` says, as typed values. Its reader is ``file.py``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pipeline.models.rules import Rules


class Task(StrEnum):
    """What kind of answer the model gives."""

    CLASSIFICATION = "classification"
    DETECTION = "detection"
    TEXT_DETECTION = "text_detection"
    RAW = "raw"


class RuntimeKind(StrEnum):
    """Which runtime executes the model file."""

    ONNX = "onnx"
    ACL = "acl"


class ColourOrder(StrEnum):
    """The order of the three colour channels that the model was trained on."""

    RGB = "rgb"
    BGR = "bgr"


class Layout(StrEnum):
    """The order of the input tensor's axes."""

    NCHW = "nchw"
    NHWC = "nhwc"
    #: Bytes of luma, then of U and V in turns at half the resolution, full range as in a JPEG:
    #: shape (height * 3 / 2, width, 1), for a pixel unit that takes YUV420SP_U8.
    NV12 = "nv12"


class PictureDecoder(StrEnum):
    """What decodes and scales pictures."""

    OPENCV = "opencv"
    #: The NPU's picture units; OpenCV for the pictures that they do not take.
    DVPP = "dvpp"


class ResizeMode(StrEnum):
    """How a picture of any size becomes the model's input."""

    #: Both axes scaled to the input size; the aspect ratio is lost.
    STRETCH = "stretch"
    #: Scaled to fit, centred, the rest filled with the pad value (YOLO).
    LETTERBOX = "letterbox"
    #: Scaled to fit, put at the top left, the rest filled with the pad value.
    LETTERBOX_TOP_LEFT = "letterbox_top_left"
    #: Scaled to cover, the middle cut out (ImageNet classifiers).
    CENTER_CROP = "center_crop"
    #: Free input size: the shorter side at least ``min_side_px``, the longer at most
    #: ``max_side_px``, each side rounded to ``side_multiple_px`` (PP-OCR text detection).
    FREE = "free"


class Interpolation(StrEnum):
    """How pixels are resampled: OpenCV's words."""

    LINEAR = "linear"
    AREA = "area"
    CUBIC = "cubic"


class DecoderKind(StrEnum):
    """Which decoder turns the model's outputs into findings."""

    CLASSIFICATION = "classification"
    YOLO = "yolo"
    DBNET = "dbnet"
    RAW = "raw"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """How pixels become the input tensor.

    The value of a pixel is ``(pixel * scale - mean[channel]) / std[channel]``, with *mean* and
    *std* in the model's colour order. *width_px* and *height_px* are 0 in mode ``free``, where
    *min_side_px*, *max_side_px* and *side_multiple_px* bound the size instead. *dtype* is a numpy
    name: ``float32``, ``float16`` or ``uint8``. A ``uint8`` tensor holds pixels as they are; then
    *scale* (1 where the card gives none), *mean* and *std* are the dynamic AIPP's.
    """

    width_px: int = 0
    height_px: int = 0
    min_side_px: int = 0
    max_side_px: int = 0
    side_multiple_px: int = 32
    resize: ResizeMode = ResizeMode.STRETCH
    interpolation: Interpolation = Interpolation.LINEAR
    pad_value: int = 114
    colour: ColourOrder = ColourOrder.RGB
    layout: Layout = Layout.NCHW
    dtype: str = "float32"
    scale: float = 1.0 / 255.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    decode: PictureDecoder = PictureDecoder.OPENCV

    @property
    def is_normalised(self) -> bool:
        """Whether a value of the model's input is another than the pixel's."""
        return (self.scale, self.mean, self.std) != (1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationDecoder:
    """Keep the *top_k* classes; *softmax* says whether the outputs are logits."""

    top_k: int = 5
    softmax: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class YoloDecoder:
    """Read a v5 head (rows of box, objectness, classes) or a v8/v11 head (columns, no objectness).

    *version* is ``v5``, ``v8`` or ``v11``. Rows below *score_threshold* are dropped before the
    class-aware NMS at *iou_threshold*; at most *max_detections* stay, best first.
    """

    version: str = "v8"
    score_threshold: float = 0.25
    iou_threshold: float = 0.45
    max_detections: int = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class DbnetDecoder:
    """Cut text regions out of a probability map (PP-OCR, Differentiable Binarization).

    *bitmap_threshold* binarises the map, *box_threshold* drops regions by mean probability, and
    *unclip_ratio* grows each region back to the text's outline. *dilate* closes gaps first.
    """

    bitmap_threshold: float = 0.3
    box_threshold: float = 0.5
    unclip_ratio: float = 1.6
    max_regions: int = 1000
    min_side_px: int = 3
    dilate: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RawDecoder:
    """Hand the outputs on as numbers; refused past *max_values* in all."""

    max_values: int = 4096


DecoderSpec = ClassificationDecoder | YoloDecoder | DbnetDecoder | RawDecoder


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchingSpec:
    """At most *max_size* pictures in a batch; a batch waits at most *max_delay_ms* to fill."""

    max_size: int = 8
    max_delay_ms: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionsSpec:
    """Which versions are offered: the *latest* so many, or those *pinned*; all where neither is."""

    latest: int = 0
    pinned: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """One version of one model, whole.

    With *warm_up*, a load ends with a run of every size that the file computes.
    *settings_sha256* is the hex sha256 of the ``model.toml`` bytes and of the label file, if any.
    """

    name: str
    task: Task
    runtime: RuntimeKind
    input: InputSpec
    decoder: DecoderSpec
    batching: BatchingSpec
    rules: Rules
    description: str
    settings_sha256: str
    versions: VersionsSpec = VersionsSpec()
    warm_up: bool = False
