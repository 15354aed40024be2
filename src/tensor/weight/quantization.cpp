#include "tensor/weight/quantization.h"

#include <fmt/core.h>

#include "base/error.h"

namespace foregate::tensor {

Quantization parse_quantization(const std::string& name) {
  for (const Quantization known : {Quantization::kNone, Quantization::kInt8, Quantization::kNf4}) {
    if (name == quantization_name(known)) return known;
  }
  throw UsageError(fmt::format("quantisation \"{}\" is not known; use none, int8 or nf4", name));
}

std::string quantization_name(Quantization quantization) {
  switch (quantization) {
    case Quantization::kInt8:
      return "int8";
    case Quantization::kNf4:
      return "nf4";
    default:
      return "none";
  }
}

int64_t matrix_bytes(Quantization quantization, int64_t rows, int64_t columns,
                     int64_t element_size) {
  constexpr auto kScaleBytes = static_cast<int64_t>(sizeof(float));
  switch (quantization) {
    case Quantization::kInt8:
      return rows * (columns + kScaleBytes);
    case Quantization::kNf4:
      return rows * (nf4_code_bytes(columns) + nf4_blocks(columns) * kScaleBytes);
    default:
      return rows * columns * element_size;
  }
}

}  // namespace foregate::tensor
