#pragma once

#include <cstdint>
#include <string_view>

namespace foregate {

/// What a tensor of a GGUF file is made of: blocks of `block_values` consecutive values of a row,
/// `block_bytes` bytes each.
struct GgufType {
  uint32_t code;          ///< as the file has it
  std::string_view name;  ///< "Q4_K"
  uint32_t block_values;
  uint32_t block_bytes;
};

/// Nullptr for a code that is not known.
/// https://github.com/ggml-org/llama.cpp, gguf-py/gguf/constants.py, GGML_QUANT_SIZES
const GgufType* find_gguf_type(uint32_t code);

}  // namespace foregate
