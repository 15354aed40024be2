#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "tensor/files/gptq.h"
#include "tensor/weight/quantization.h"

namespace foregate::models {

/// How a checkpoint keeps the matrices of its layers: what quantization_config in its config.json
/// says.
struct CheckpointFormat {
  enum class Kind : uint8_t {
    kDense,     ///< float32, bfloat16 or float16
    kForegate,  ///< written by save_quantized()
    kGptq,      ///< packed by GPTQ (Frantar et al. 2023) as AutoGPTQ and GPTQModel do
  };
  Kind kind = Kind::kDense;
  tensor::Quantization quantization = tensor::Quantization::kNone;  ///< of kForegate
  tensor::GptqFormat gptq;                                          ///< of kGptq

  /// "dense", "int8", "nf4", "gptq 4-bit, groups of 128"
  std::string description() const;
};

/// Reads quantization_config. Throws DataError, saying what is supported, for any other method,
/// number of bits or format.
CheckpointFormat read_weight_storage(const JsonReader& config);

/// The quantization_config of a checkpoint that save_quantized() writes.
Json quantization_config(tensor::Quantization quantization);

}  // namespace foregate::models
