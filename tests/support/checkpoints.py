"""Tiny randomly initialised checkpoints of real architectures, saved to a folder as their makers save theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sentencepiece
import torch
import transformers

SIDE = 32
CONTEXT = 16
_TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
_TEXT = {**_TOWER, "max_position_embeddings": CONTEXT}
_LETTERS = "abcdefghijklmnopqrstuvwxyz.,'0123456789"
_SIZE = {"height": SIDE, "width": SIDE}


def save_clip(folder: Path) -> None:
    """A CLIP with its byte-pair tokenizer and image processor."""
    torch.manual_seed(1)
    words = [*_LETTERS, *(c + "</w>" for c in _LETTERS), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = transformers.CLIPTokenizer({w: i for i, w in enumerate(words)}, [], model_max_length=CONTEXT)
    ends = {"bos_token_id": len(words) - 2, "eos_token_id": len(words) - 1, "pad_token_id": len(words) - 1}
    text = {**_TEXT, "vocab_size": len(words), **ends}
    vision = {**_TOWER, "image_size": SIDE, "patch_size": 8}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    images = transformers.CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=_SIZE)
    _save(folder, transformers.CLIPModel(config), transformers.CLIPProcessor(images, tokenizer))


def save_siglip(folder: Path) -> None:
    """A SigLIP with its SentencePiece tokenizer, whose texts are padded to the end of the context."""
    torch.manual_seed(2)
    folder.mkdir(parents=True, exist_ok=True)
    prefix = str(folder / "spiece")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a photo of a dog", "city traffic at night", " ".join(_LETTERS)]),
        model_prefix=prefix, vocab_size=60, hard_vocab_limit=False, minloglevel=9, pad_id=3,
    )  # fmt: skip
    tokenizer = transformers.SiglipTokenizer(prefix + ".model", model_max_length=CONTEXT)
    config = transformers.SiglipConfig(
        text_config={**_TEXT, "vocab_size": len(tokenizer), "projection_size": 32},
        vision_config={**_TOWER, "image_size": SIDE, "patch_size": 8},
    )
    images = transformers.SiglipImageProcessor(size=_SIZE)
    _save(folder, transformers.SiglipModel(config), transformers.SiglipProcessor(images, tokenizer))


def save_siglip2(folder: Path) -> None:
    """A SigLIP 2 of the kind that keeps a picture's shape, with a Gemma tokenizer."""
    torch.manual_seed(3)
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *_LETTERS]
    tokenizer = transformers.GemmaTokenizer({w: i for i, w in enumerate(words)}, [], model_max_length=CONTEXT)
    config = transformers.Siglip2Config(
        text_config={**_TEXT, "vocab_size": len(words), "projection_size": 32},
        vision_config={**_TOWER, "patch_size": 16, "num_patches": 256},
    )
    images = transformers.Siglip2ImageProcessor(patch_size=16, max_num_patches=256)
    _save(folder, transformers.Siglip2Model(config), transformers.Siglip2Processor(images, tokenizer))


def save_classifier(folder: Path, labels: tuple[str, ...]) -> None:
    """A vision transformer that names one of `labels`."""
    torch.manual_seed(4)
    config = transformers.ViTConfig(
        **_TOWER, image_size=SIDE, patch_size=8,
        id2label=dict(enumerate(labels)), label2id={label: i for i, label in enumerate(labels)},
    )  # fmt: skip
    _save(folder, transformers.ViTForImageClassification(config), transformers.ViTImageProcessor(size=_SIZE))


def _save(folder: Path, model: Any, processor: Any) -> None:
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
