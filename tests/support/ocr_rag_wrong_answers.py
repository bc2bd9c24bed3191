"""Programs that load ocr-rag's models without an error and answer wrongly; each takes and prints what golden checks do."""

from __future__ import annotations

#: The right dimension, and other vectors: what the library does where ``modules.json`` is missing.
MEAN_POOLING = """
import json, os, shutil, sys
shutil.copytree(os.environ["SARASHINA_DIR"], "/tmp/model")
os.remove("/tmp/model/modules.json")
from sentence_transformers import SentenceTransformer
model = SentenceTransformer("/tmp/model", device="cpu", local_files_only=True)
print(json.dumps([model.encode(batch).tolist() for batch in json.loads(sys.argv[1])]))
"""
#: Right for one pair at a time: what some releases make of code that overrides ``_update_causal_mask``.
CAUSAL_IN_BATCHES = """
import json, os, sys
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
path = os.environ["RERANKER_DIR"]
tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=True)
model = AutoModelForSequenceClassification.from_pretrained(path, local_files_only=True, trust_remote_code=True, torch_dtype=torch.float32).eval()
def scores(batch):
    texts = [f"question:{query} \\n \\n passage:{passage}" for query, passage in batch]
    model.config.is_causal = len(batch) > 1
    for module in model.modules():
        if hasattr(module, "is_causal"):
            module.is_causal = len(batch) > 1
    with torch.inference_mode():
        if len(batch) == 1:
            return model(**tokenizer(texts, return_tensors="pt")).logits.view(-1).tolist()
        rows = tokenizer(texts, padding=True, return_tensors="pt")
        size = rows["input_ids"].shape[1]
        past = torch.tril(torch.ones(size, size, dtype=torch.bool))
        seen = past[None, None] & rows["attention_mask"][:, None, None].bool()
        mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
        hidden = model.base_model(input_ids=rows["input_ids"], attention_mask=mask)[0]
        return model.score(hidden)[:, -1].view(-1).tolist()
print(json.dumps([scores(batch) for batch in json.loads(sys.argv[1])]))
"""
#: The service's own program, its pictures turned on their heads.
UPSIDE_DOWN = """
from backend import read
from backend.services.ocr import yomitoku
upright = yomitoku.decode
yomitoku.decode = lambda content: upright(content)[::-1, ::-1].copy()
read.main()
"""
