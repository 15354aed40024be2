#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace foregate::tensor {

/// How the weights of the large products are kept. Routers stay in float32, norms, biases and the
/// embedding in the compute dtype.
enum class Quantization : uint8_t {
  kNone,  ///< in the compute dtype
  kInt8,  ///< 8-bit integers, symmetric, one float32 scale an output channel (row)
  kNf4,   ///< 4-bit NormalFloat (Dettmers et al. 2023), one float32 scale a block of 64 of a row
};

/// Values of an NF4 block; a row's last block may have fewer.
inline constexpr int64_t kNf4Block = 64;

/// "none", "int8" or "nf4". Throws UsageError for any other name.
Quantization parse_quantization(const std::string& name);
std::string quantization_name(Quantization quantization);

/// Bytes that a matrix takes; `element_size` of unquantised weights.
int64_t matrix_bytes(Quantization quantization, int64_t rows, int64_t columns,
                     int64_t element_size);

/// Blocks of a row of `columns` NF4 values.
constexpr int64_t nf4_blocks(int64_t columns) {
  return (columns + kNf4Block - 1) / kNf4Block;
}
/// Bytes of a row of `columns` NF4 codes.
constexpr int64_t nf4_code_bytes(int64_t columns) {
  return (columns + 1) / 2;
}

}  // namespace foregate::tensor
