"""Writes gguf_blocks.gguf: random and extreme blocks of every type that is decoded, and what the gguf package makes of
them.

usage: make_gguf_blocks.py    (needs gguf 0.19.0)

Tensor NAME holds the blocks, NAME.expected the float32 values.
"""
import pathlib

import gguf
import numpy as np

TYPES = ["Q4_0", "Q5_0", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "MXFP4", "F16", "BF16", "Q4_1", "Q5_1", "Q2_K", "Q3_K",
         "IQ4_NL", "IQ4_XS"]
RANDOM, ROWS = 13, 4


def extreme(count, size):
    """All bits clear and set, and bytes that make scales zero, negative, subnormal, large and not a number."""
    fills = [0x00, 0xFF, 0x80, 0x7F, 0x01, 0x7B, 0xFC]
    blocks = np.stack([np.full(size, fill, np.uint8) for fill in fills])
    ramp = np.arange(size, dtype=np.uint8)
    return np.concatenate([blocks, ramp[None], ramp[None, ::-1]])[:count]


def main():
    rng = np.random.default_rng(19)
    path = pathlib.Path(__file__).with_name("gguf_blocks.gguf")
    writer = gguf.GGUFWriter(path, "blocks")
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        values, size = gguf.GGML_QUANT_SIZES[kind]
        if values == 1:
            values, size = 32, 32 * size
        blocks = np.concatenate([rng.integers(0, 256, (RANDOM, size), dtype=np.uint8), extreme(7, size)])
        rows = blocks.reshape(ROWS, -1)
        with np.errstate(all="ignore"):
            expected = gguf.dequantize(rows if name not in ("F16",) else rows.view(np.float16), kind)
        writer.add_tensor(name, rows if name != "F16" else rows.view(np.float16), raw_dtype=kind)
        writer.add_tensor(f"{name}.expected", np.ascontiguousarray(expected, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
