#include "tensor/weight/quantization.h"

#include <fmt/core.h>

#include "base/error.h"
#include "tensor/weight/encoding.h"

namespace foregate::tensor {

Quantization parse_quantization(const std::string& name) {
  for (const Quantization known : all_quantizations()) {
    if (name == encoding(known).name) return known;
  }
  throw UsageError(fmt::format("quantisation \"{}\" is not known; use {}", name,
                               quantization_names(/*none=*/true)));
}

std::string quantization_name(Quantization quantization) {
  return std::string(encoding(quantization).name);
}

std::string quantization_names(bool none) {
  const std::span<const Quantization> kinds = all_quantizations().subspan(none ? 0 : 1);
  std::string names;
  for (const Quantization kind : kinds) {
    if (!names.empty()) names += kind == kinds.back() ? " or " : ", ";
    names += encoding(kind).name;
  }
  return names;
}

int64_t matrix_bytes(Quantization quantization, int64_t rows, int64_t columns,
                     int64_t element_size) {
  const Encoding& kept = encoding(quantization);
  if (kept.is_dense()) return rows * columns * element_size;
  constexpr auto kScaleBytes = static_cast<int64_t>(sizeof(float));
  return rows * (kept.row_codes(columns) + kept.row_scales(columns) * kScaleBytes);
}

}  // namespace foregate::tensor
