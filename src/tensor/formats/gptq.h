#pragma once

#include <torch/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace foregate::tensor {

/// How a GPTQ checkpoint packs its matrices.
struct GptqFormat {
  int64_t bits = 4;        ///< 2, 3, 4 or 8
  int64_t group_size = 0;  ///< inputs that share scale and zero; -1: all
  /// Zeros are stored minus one, modulo 2^bits: the first version of the format, which AutoGPTQ
  /// writes.
  bool zeros_minus_one = true;
  /// Inputs were quantised in the order of their importance ("desc_act"): which group each belongs
  /// to, only g_idx tells.
  bool act_order = false;
  /// Whether every zero is the middle, 2^(bits - 1) ("sym"); nothing: not said.
  std::optional<bool> symmetric{};

  bool operator==(const GptqFormat&) const = default;

  int64_t middle() const { return int64_t{1} << (bits - 1); }

  int64_t groups(int64_t inputs) const {
    return group_size < 0 ? 1 : (inputs + group_size - 1) / group_size;
  }
};

/// One matrix, as stored. Values lie in 32-bit words from the lowest bits up, and of 3 bits across
/// words: 32 of them in three.
struct GptqTensors {
  torch::Tensor qweight;  ///< [in * bits / 32, out] int32: a word holds consecutive inputs
  torch::Tensor qzeros;   ///< [groups, out * bits / 32] int32: a word holds consecutive outputs
  torch::Tensor scales;   ///< [groups, out] float16, or another float
  torch::Tensor g_idx;    ///< [in] int32, the group of each input; undefined: in order
};

/// weight[o, i] = scales[g, o] * (q[i, o] - zero[g, o]) with g = g_idx[i], for the outputs [first,
/// first + count), as AutoGPTQ's reference (QuantLinear.forward) computes it, but not rounded to
/// float16. Throws DataError, naming `what`, for a group number that does not exist, groups of
/// other sizes than the format says, and a zero that is not the middle where the format says that
/// all are.
torch::Tensor dequantize_gptq(const GptqTensors& tensors, const GptqFormat& format,
                              const std::string& what, int64_t first,
                              int64_t count);  // -> [count, in] float32
/// The same of all outputs.
torch::Tensor dequantize_gptq(const GptqTensors& tensors, const GptqFormat& format,
                              const std::string& what);  // -> [out, in] float32

/// What all zeros of a matrix are stored as, e.g. 7 or 8 where quantisation is symmetric; nothing
/// if they differ.
std::optional<int64_t> uniform_stored_zero(const torch::Tensor& qzeros, int64_t bits);

}  // namespace foregate::tensor
