"""The other side of bench/peer: PyTorch and PEFT training the same steps.

    peer.py MODEL ROWS METHOD PRECISION THREADS STEPS BATCH MAX_LENGTH LABEL...

Trains the first STEPS batches of a data file over and over, in file order, each
padded to its longest row. It says "ready TOKENS TRAINABLE" on file descriptor 3
before its first step, and "done" after each pass; a line there asks for a pass, and
the end of the file for the end. The product needs none of this: it is a measuring
instrument alone.

What a careful person would set is set: as many threads as asked for, attention by
scaled_dot_product_attention, the fused AdamW, no gradient where none is needed, rows
tokenized before the first step, no number read back from a step.
"""
import gzip
import json
import os
import sys
import warnings

# Nothing here is to be found on a network.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
warnings.filterwarnings("ignore")

import torch
from transformers import BertForSequenceClassification, BertTokenizerFast
from transformers.utils import logging


def open_model(folder, labels):
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    return BertForSequenceClassification.from_pretrained(
        folder, num_labels=len(labels), attn_implementation="sdpa", dtype=torch.float32)


def attach(model, method):
    """What trains, as trimtab's methods of the same names choose it."""
    if method == "lora":
        from peft import LoraConfig, get_peft_model

        return get_peft_model(model, LoraConfig(
            task_type="SEQ_CLS", r=8, lora_alpha=8, lora_dropout=0.0,
            target_modules=["query", "value"]))
    for name, p in model.named_parameters():
        p.requires_grad = (method == "full" or name.startswith("classifier")
                           or (method == "bitfit" and name.endswith("bias")))
    return model


def read_rows(path, n):
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8") as f:
        return [json.loads(line) for _, line in zip(range(n), f)]


def encode(folder, rows, batch, max_length, labels):
    """One list of ids and types a row; each batch keeps its rows in order."""
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    coded = []
    for r in rows:
        ids = tokenizer(r["text_a"], r.get("text_b") or None, truncation="longest_first",
                        max_length=max_length)
        coded.append((ids["input_ids"], ids["token_type_ids"], labels.index(r["label"])))
    return [coded[i:i + batch] for i in range(0, len(coded), batch)]


def collate(rows):
    """Padded to the longest of the batch."""
    longest = max(len(ids) for ids, _, _ in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    types, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for i, (row, kind, _) in enumerate(rows):
        ids[i, :len(row)] = torch.tensor(row)
        types[i, :len(row)] = torch.tensor(kind)
        mask[i, :len(row)] = 1
    return {"input_ids": ids, "token_type_ids": types, "attention_mask": mask,
            "labels": torch.tensor([label for _, _, label in rows])}


def step(model, trains, optimizer, rows, bf16):
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        loss = model(**collate(rows)).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trains, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def main(argv):
    folder, path, method, precision = argv[:4]
    threads, steps, batch, max_length = map(int, argv[4:8])
    labels = argv[8:]
    wire = os.fdopen(3, "r+b", buffering=0)
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    batches = encode(folder, read_rows(path, steps * batch), batch, max_length, labels)
    model = attach(open_model(folder, labels), method)
    model.train()
    trains = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trains, lr=2e-5 if method == "full" else 5e-4,
                                  weight_decay=0.0, fused=True)
    tokens = sum(len(ids) for rows in batches for ids, _, _ in rows)
    wire.write(b"ready %d %d\n" % (tokens, sum(p.numel() for p in trains)))
    while wire.readline():
        for rows in batches:
            step(model, trains, optimizer, rows, precision == "bf16")
        wire.write(b"done\n")


main(sys.argv[1:])
