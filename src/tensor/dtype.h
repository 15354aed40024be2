#pragma once

#include <torch/types.h>

#include <optional>
#include <string>
#include <string_view>

namespace foregate::tensor {

/// "F32" -> kFloat32. Nothing for a name that safetensors or libtorch does not know.
std::optional<torch::ScalarType> dtype_from_safetensors(std::string_view name);
/// kFloat32 -> "F32". Throws DataError for a dtype that safetensors cannot hold.
std::string_view safetensors_dtype(torch::ScalarType dtype);

/// The compute dtypes of command lines and of config.json: "float32", "bfloat16", "float16". Throws
/// UsageError for any other name.
torch::ScalarType parse_dtype(const std::string& name);
/// "float32", "bfloat16", ... and "int8"; the safetensors name for other dtypes.
std::string dtype_name(torch::ScalarType dtype);

}  // namespace foregate::tensor
