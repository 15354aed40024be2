#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace foregate::tensor {

/// How the weights of the large products are kept: a line each of the table in encoding.cpp.
/// Routers stay in float32, norms, biases and the embedding in the compute dtype.
enum class Quantization : uint8_t {
  kNone,  ///< in the compute dtype
  kInt8,  ///< 8-bit integers, symmetric, one float32 scale an output channel (row)
  kNf4,   ///< 4-bit NormalFloat (Dettmers et al. 2023), one float32 scale a block of 64 of a row
};

/// All of them, by falling size.
std::span<const Quantization> all_quantizations();
/// "none", "int8" or "nf4". Throws UsageError for any other name.
Quantization parse_quantization(const std::string& name);
std::string quantization_name(Quantization quantization);
/// For messages: "int8 or nf4"; "none, int8 or nf4" with `none`.
std::string quantization_names(bool none);

/// Bytes that a matrix takes; `element_size` of unquantised weights.
int64_t matrix_bytes(Quantization quantization, int64_t rows, int64_t columns,
                     int64_t element_size);

}  // namespace foregate::tensor
