#include "tensor/formats/awq.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <array>

namespace foregate::tensor {
namespace {

// Where in its word each of eight consecutive outputs lies.
constexpr std::array<uint32_t, AwqFormat::kPerWord> kShifts = {0, 16, 4, 20, 8, 24, 12, 28};

float awq_code(const int32_t* words, int64_t output) {
  const auto word = static_cast<uint32_t>(words[output / AwqFormat::kPerWord]);
  return static_cast<float>(word >> kShifts[output % AwqFormat::kPerWord] & 15);
}

}  // namespace

torch::Tensor dequantize_awq(const AwqTensors& tensors, const AwqFormat& format, int64_t first,
                             int64_t count) {
  const int64_t inputs = tensors.qweight.size(0);
  const int64_t row_words = tensors.qweight.size(1);
  const int64_t outputs = tensors.scales.size(1);
  const int64_t group = format.inputs_per_group(inputs);
  TORCH_CHECK(row_words * AwqFormat::kPerWord == outputs && tensors.qzeros.size(1) == row_words &&
                  tensors.qzeros.size(0) == tensors.scales.size(0) &&
                  tensors.scales.size(0) * group == inputs,
              "dequantize_awq: parts of different shapes");
  const torch::Tensor codes = tensors.qweight.contiguous();
  const torch::Tensor zeros = tensors.qzeros.contiguous();
  const torch::Tensor scales = tensors.scales.to(torch::kFloat32).contiguous();
  torch::Tensor weight = torch::empty({count, inputs}, torch::kFloat32);
  const auto* code = codes.const_data_ptr<int32_t>();
  const auto* zero = zeros.const_data_ptr<int32_t>();
  const auto* scale = scales.const_data_ptr<float>();
  auto* value = weight.mutable_data_ptr<float>();
  // A thread writes whole rows and reads the words by columns, a cache line's worth at a time.
  constexpr int64_t kOutputsAtOnce = 16 * AwqFormat::kPerWord;
  at::parallel_for(0, count, kOutputsAtOnce, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < inputs; ++i) {
      const int64_t g = i / group;
      for (int64_t row = begin; row < end; ++row) {
        const int64_t o = first + row;
        const float q = awq_code(code + i * row_words, o);
        const float z = awq_code(zero + g * row_words, o);
        value[row * inputs + i] = (q - z) * scale[g * outputs + o];
      }
    }
  });
  return weight;
}

}  // namespace foregate::tensor
