"""Sentences to vectors: a MiniLM in ONNX with its WordPiece tokenizer. It knows texts, not what they are compared with.

Pooling lies inside the file: of its outputs the one with a row per text is the sentence vector (not normalised).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from tokenizers import Encoding, Tokenizer

from framecue.analysis.spaces import Array
from framecue.errors import ModelError, SetupError

DIMS = 384
_MAX_TOKENS = 128
_BATCH = 32


class SentenceEncoder:
    """A `TextEncoder` of 384 dimensions. `batch` 1 makes a vector a function of its text alone, to the last bit."""

    def __init__(self, weights: Path, tokenizer: Path, *, threads: int, batch: int = _BATCH) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
        self._output = self._sentence_output(weights)
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(_MAX_TOKENS)
        self._tokenizer.no_padding()
        self._batch = batch

    def embed(self, texts: Sequence[str]) -> Array:
        """(N, 384) fp32 of unit length, one row a text; raises ModelError when the forward fails."""
        vectors = np.zeros((len(texts), DIMS), np.float32)
        encoded = self._tokenizer.encode_batch(list(texts))
        order = sorted(range(len(texts)), key=lambda i: len(encoded[i].ids))  # alike lengths need little padding
        for at in range(0, len(order), self._batch):
            rows = order[at : at + self._batch]
            vectors[rows] = self._forward([encoded[i] for i in rows])
        unit: Array = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return unit

    def embed_prompts(self, texts: Sequence[str]) -> Array:
        """As `embed`: a template such as "a photo of" moved no figure by more than one picture in forty."""
        return self.embed(texts)

    def _forward(self, batch: Sequence[Encoding]) -> Array:
        length = max(len(e.ids) for e in batch)
        ids = np.zeros((len(batch), length), np.int64)
        mask = np.zeros_like(ids)
        for row, e in enumerate(batch):
            ids[row, : len(e.ids)] = e.ids
            mask[row, : len(e.ids)] = 1
        try:
            (vectors,) = self._session.run([self._output], {"input_ids": ids, "attention_mask": mask})
        except Exception as e:  # onnxruntime has no common base for its errors
            raise ModelError(f"the sentence encoder failed on {len(batch)} texts: {e}") from e
        return np.asarray(vectors, np.float32)

    def _sentence_output(self, weights: Path) -> str:
        for output in self._session.get_outputs():
            if len(output.shape) == 2 and output.shape[1] == DIMS:
                return str(output.name)
        raise SetupError(f"{weights} is no sentence encoder of {DIMS} dimensions; install framecue[fusion] again")
