#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/containers/gguf_types.h"

namespace foregate::tensor {

/// Decodes consecutive blocks to float32. Every formula is that of gguf-py/gguf/quants.py in
/// https://github.com/ggml-org/llama.cpp, in its order of operations: the same bits.
using GgufDecoder = void (*)(const std::byte* blocks, int64_t num_blocks, float* values);

/// Nullptr for a type that is not decoded.
GgufDecoder find_gguf_decoder(const GgufType& type);
/// Their names, for messages: "Q4_0, Q5_0, ..."
std::string decoded_gguf_types();

}  // namespace foregate::tensor
