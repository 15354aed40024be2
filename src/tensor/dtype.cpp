#include "tensor/dtype.h"

#include <fmt/core.h>

#include <array>
#include <utility>

#include "base/error.h"

namespace foregate::tensor {
namespace {

using Name = std::pair<std::string_view, torch::ScalarType>;

// https://github.com/huggingface/safetensors, safetensors/src/tensor.rs, Dtype
constexpr std::array<Name, 17> kSafetensorsNames = {{
    {"F64", torch::kFloat64},
    {"F32", torch::kFloat32},
    {"F16", torch::kFloat16},
    {"BF16", torch::kBFloat16},
    {"I64", torch::kInt64},
    {"I32", torch::kInt32},
    {"I16", torch::kInt16},
    {"I8", torch::kInt8},
    {"U64", torch::kUInt64},
    {"U32", torch::kUInt32},
    {"U16", torch::kUInt16},
    {"U8", torch::kUInt8},
    {"BOOL", torch::kBool},
    {"C64", torch::kComplexFloat},
    {"F8_E4M3", torch::kFloat8_e4m3fn},
    {"F8_E5M2", torch::kFloat8_e5m2},
    {"F8_E8M0", torch::kFloat8_e8m0fnu},
}};

constexpr std::array<Name, 3> kComputeNames = {{
    {"float32", torch::kFloat32},
    {"bfloat16", torch::kBFloat16},
    {"float16", torch::kFloat16},
}};

}  // namespace

std::optional<torch::ScalarType> dtype_from_safetensors(std::string_view name) {
  for (const auto& [known, dtype] : kSafetensorsNames) {
    if (known == name) return dtype;
  }
  return std::nullopt;
}

std::string_view safetensors_dtype(torch::ScalarType dtype) {
  for (const auto& [name, known] : kSafetensorsNames) {
    if (known == dtype) return name;
  }
  throw DataError(fmt::format("safetensors cannot hold tensors of dtype {}", c10::toString(dtype)));
}

torch::ScalarType parse_dtype(const std::string& name) {
  for (const auto& [known, dtype] : kComputeNames) {
    if (known == name) return dtype;
  }
  throw UsageError(
      fmt::format("dtype \"{}\" is not known; use float32, bfloat16 or float16", name));
}

std::string dtype_name(torch::ScalarType dtype) {
  for (const auto& [name, known] : kComputeNames) {
    if (known == dtype) return std::string(name);
  }
  if (dtype == torch::kInt8) return "int8";
  return std::string(safetensors_dtype(dtype));
}

}  // namespace foregate::tensor
