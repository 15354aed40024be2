#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "models/formats/module_patterns.h"
#include "models/formats/scaled_scheme.h"
#include "tensor/formats/awq.h"
#include "tensor/formats/gptq.h"
#include "tensor/weight/quantization.h"

namespace foregate::models {

/// Modules that a GPTQ checkpoint packs in another way than the rest.
struct GptqOverride {
  ModulePatterns modules;
  std::optional<tensor::GptqFormat> format;  ///< nothing: left as floats
};

/// Modules whose matrices are kept by one scheme.
struct ScaledGroup {
  std::optional<ModulePatterns> modules;  ///< nothing: all
  ScaledScheme scheme;
};

/// How a checkpoint keeps the matrices of its layers: what quantization_config in its config.json
/// says.
struct CheckpointFormat {
  enum class Kind : uint8_t {
    kDense,         ///< float32, bfloat16 or float16
    kForegate,      ///< written by save_quantized()
    kGptq,          ///< packed by GPTQ (Frantar et al. 2023) as AutoGPTQ and GPTQModel do
    kAwq,           ///< packed by AWQ (Lin et al. 2023) as AutoAWQ does
    kBitsandbytes,  ///< 4 bits, as bitsandbytes packs them
    kScaled,        ///< codes and scales by rectangles: FP8, MXFP4, NVFP4, compressed-tensors
  };
  Kind kind = Kind::kDense;
  std::string method{};                                             ///< quant_method; empty: dense
  tensor::Quantization quantization = tensor::Quantization::kNone;  ///< of kForegate
  tensor::GptqFormat gptq{};                                        ///< of kGptq
  std::vector<GptqOverride> gptq_overrides{};  ///< of kGptq; the first that names a module counts
  tensor::AwqFormat awq{};                     ///< of kAwq
  std::vector<ScaledGroup> scaled{};           ///< of kScaled; likewise
  /// Modules that are left as floats, all others not. Nothing: not said, the tensors tell.
  std::optional<ModulePatterns> left_dense{};
  /// Further modules that one reader of that list takes for left as floats, and another does not:
  /// of these, too, the tensors tell.
  ModulePatterns perhaps_dense{};

  /// "dense", "int8", "gptq 4-bit, groups of 128", "fp8 e4m3, blocks of 128 x 128"
  std::string description() const;
};

/// Reads quantization_config. Throws DataError, saying what is supported, for any other method,
/// number of bits or format.
CheckpointFormat read_weight_storage(const JsonReader& config);

/// Reads the hf_quant_config.json that NVIDIA's modelopt leaves beside a config.json, which older
/// versions wrote nothing into; nothing if there is none. Throws likewise.
std::optional<CheckpointFormat> read_modelopt_file(const std::filesystem::path& folder);

/// The quantization_config of a checkpoint that save_quantized() writes.
Json quantization_config(tensor::Quantization quantization);

/// How a GPTQ checkpoint packs this module; nothing: it is left as floats.
std::optional<tensor::GptqFormat> gptq_format_of(const CheckpointFormat& format,
                                                 const std::string& module);

/// The scheme of this module; nullptr: it is left as floats.
const ScaledScheme* scaled_scheme_of(const CheckpointFormat& format, const std::string& module);

}  // namespace foregate::models
