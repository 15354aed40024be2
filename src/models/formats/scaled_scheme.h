#pragma once

#include <cstdint>
#include <string>

#include "tensor/formats/scaled_matrix.h"

namespace foregate::models {

/// What a writer calls the tensors of a scaled matrix, and what they are like: a line of the table
/// in scaled_scheme.cpp. Endings of the matrix's name ("...q_proj.weight"); nullptr: there is none.
struct ScaledLayout {
  enum class Scales : uint8_t {
    kFloat,        ///< float32, bfloat16 or float16
    kFloatOrE8m0,  ///< also E8M0, as such or as uint8
    kE4m3,
    kE8m0,  ///< as such or as uint8
  };
  const char* name;    ///< for people
  const char* codes;   ///< "": the matrix's own name
  const char* scales;  ///< always there
  const char* zeros;   ///< where the format has some
  const char* global;  ///< likewise
  const char* shape;   ///< two integers, [out, in]
  Scales scale_dtype;
  bool in_blocks;    ///< codes are shaped [..., blocks, bytes of a block]
  bool only_stacks;  ///< of [E, out, in]; other matrices are left as floats
};

/// How the matrices of a group of modules are kept.
struct ScaledScheme {
  const ScaledLayout* layout = nullptr;
  tensor::ScaledFormat format;

  /// "fp8 e4m3, blocks of 128 x 128"
  std::string description() const;
};

extern const ScaledLayout kBlockFp8;        ///< DeepSeek-V3 and who follows it
extern const ScaledLayout kTensorFp8;       ///< one scale a matrix: vllm's "fp8", modelopt's "FP8"
extern const ScaledLayout kMxfp4Stacks;     ///< gpt-oss
extern const ScaledLayout kPackQuantized;   ///< compressed-tensors: integers in words
extern const ScaledLayout kIntQuantized;    ///< compressed-tensors: integers in bytes
extern const ScaledLayout kFloatQuantized;  ///< compressed-tensors: E4M3
extern const ScaledLayout kMxfp4PackQuantized;  ///< compressed-tensors
extern const ScaledLayout kNvfp4PackQuantized;  ///< compressed-tensors
extern const ScaledLayout kModeloptNvfp4;       ///< NVIDIA's modelopt

}  // namespace foregate::models
