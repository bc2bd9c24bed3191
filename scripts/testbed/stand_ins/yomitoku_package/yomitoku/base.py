"""How models are found and loaded: a catalogue of names, settings merged with a YAML file, ``from_pretrained``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import onnxruntime
import torch
import yaml

from yomitoku.constants import ROOT_DIR


def load_config(default: type, path_config: str | None = None) -> Any:
    """The settings of ``default``, over them those of the file; a key that they do not have is an error."""
    if path_config is None:
        return default()
    path = Path(path_config)
    if not path.exists():
        raise FileNotFoundError(f"Config file not found: {path}")
    return dataclasses.replace(default(), **yaml.safe_load(path.read_text("utf-8")))


class BaseModule:
    """A model by its name in the catalogue, as torch or, exported once into the package's directory, as ONNX."""

    model_catalog: ClassVar[dict[str, tuple[type, type]]] = {}
    #: Height and width that the export is traced with, and which of the input's axes may differ later.
    onnx_input: ClassVar[tuple[int, ...]] = (1, 3, 64, 64)
    onnx_axes: ClassVar[dict[int, str]] = {0: "batch_size"}

    def __init__(
        self,
        model_name: str,
        path_cfg: str | None = None,
        device: str = "cuda",
        visualize: bool = False,
        from_pretrained: bool = True,
        infer_onnx: bool = False,
    ) -> None:
        self.load_model(model_name, path_cfg, from_pretrained)
        self.device = torch.device(device if "cuda" not in device or torch.cuda.is_available() else "cpu")
        self.visualize = visualize
        self.model.eval().to(self.device)
        self.infer_onnx = infer_onnx
        if infer_onnx:
            path = Path(ROOT_DIR, "onnx", f"{self._cfg.hf_hub_repo.split('/')[-1]}.onnx")
            if not path.exists():
                self.convert_onnx(path)
            self.sess = onnxruntime.InferenceSession(onnx.load(path).SerializeToString())

    def load_model(self, name: str, path_cfg: str | None, from_pretrained: bool = True) -> None:
        """Settings and weights; ``hf_hub_repo`` is a repository's name, or a directory."""
        if name.lower() not in self.model_catalog:
            raise ValueError(f"Unknown model: {name}")
        default_cfg, net = self.model_catalog[name.lower()]
        self._cfg = load_config(default_cfg, path_cfg)
        # bundler: allow no-local-only this is what the library does; offline variables and absolute paths keep it here
        self.model = net.from_pretrained(self._cfg.hf_hub_repo, cfg=self._cfg) if from_pretrained else net(self._cfg)

    def convert_onnx(self, path: Path) -> None:
        """Export the model."""
        torch.onnx.export(
            self.model,
            (torch.zeros(self.onnx_input),),
            str(path),
            input_names=["input"],
            output_names=["output"],
            dynamic_axes={"input": self.onnx_axes},
            dynamo=False,
        )

    def run(self, tensor: torch.Tensor) -> np.ndarray:
        """The model's output."""
        if self.infer_onnx:
            return self.sess.run(["output"], {"input": tensor.numpy()})[0]
        with torch.inference_mode():
            return self.model(tensor.to(self.device)).cpu().numpy()


def to_tensor(img: np.ndarray) -> torch.Tensor:
    """Ink of a picture (height, width, BGR) as (1, 3, height, width): 0 is white, 1 is black."""
    ink = 1 - img.astype(np.float32) / 255
    return torch.from_numpy(np.ascontiguousarray(ink.transpose(2, 0, 1)))[None]
