#include "tensor/formats/gptq.h"

#include <ATen/Parallel.h>
#include <fmt/core.h>
#include <torch/types.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "tensor/formats/code_values.h"

namespace foregate::tensor {
namespace {

// However inputs are ordered, a group is so large: numbers that were never filled in (all 0), or
// those of another group size, are not.
void require_group_sizes(const std::vector<int32_t>& group, const GptqFormat& format,
                         int64_t groups, const std::string& what) {
  std::vector<int64_t> sizes(static_cast<size_t>(groups));
  for (const int32_t number : group) ++sizes[static_cast<size_t>(number)];
  const auto inputs = static_cast<int64_t>(group.size());
  const int64_t whole = format.group_size < 0 ? inputs : format.group_size;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t expected = std::min(whole, inputs - g * whole);
    if (sizes[static_cast<size_t>(g)] == expected) continue;
    throw DataError(
        fmt::format("{}.g_idx puts {} inputs into group {}; expected {}, by the group_size {} of "
                    "config.json: the two do not belong together",
                    what, sizes[static_cast<size_t>(g)], g, expected, format.group_size));
  }
}

std::vector<int32_t> input_groups(const GptqTensors& tensors, const GptqFormat& format,
                                  int64_t inputs, int64_t groups, const std::string& what) {
  std::vector<int32_t> group(static_cast<size_t>(inputs));
  if (!tensors.g_idx.defined()) {
    for (int64_t i = 0; i < inputs; ++i) {
      group[i] = format.group_size < 0 ? 0 : static_cast<int32_t>(i / format.group_size);
    }
    return group;
  }
  const torch::Tensor stored = tensors.g_idx.contiguous();
  const auto* number = stored.const_data_ptr<int32_t>();
  for (int64_t i = 0; i < inputs; ++i) {
    if (number[i] < 0 || number[i] >= groups) {
      throw DataError(fmt::format("{}.g_idx[{}] is {}; expected a group in [0, {}]", what, i,
                                  number[i], groups - 1));
    }
    group[i] = number[i];
  }
  require_group_sizes(group, format, groups, what);
  return group;
}

// As they are stored: [groups, out] int32
torch::Tensor stored_zeros(const torch::Tensor& qzeros, int64_t bits) {
  const torch::Tensor words = qzeros.contiguous();
  const int64_t groups = words.size(0);
  const int64_t row_words = words.size(1);
  const int64_t outputs = row_words * 32 / bits;
  torch::Tensor zeros = torch::empty({groups, outputs}, torch::kInt32);
  const auto* word = words.const_data_ptr<int32_t>();
  auto* zero = zeros.mutable_data_ptr<int32_t>();
  for (int64_t g = 0; g < groups; ++g) {
    for (int64_t o = 0; o < outputs; ++o) {
      zero[g * outputs + o] =
          static_cast<int32_t>(packed_code(word + g * row_words, /*stride=*/1, o, bits));
    }
  }
  return zeros;
}

// [groups, out] float32
torch::Tensor unpack_zeros(const torch::Tensor& qzeros, const GptqFormat& format,
                           const std::string& what) {
  torch::Tensor zeros = stored_zeros(qzeros, format.bits);
  const int64_t mask = (int64_t{1} << format.bits) - 1;
  if (format.zeros_minus_one) zeros = zeros.add_(1).bitwise_and_(mask);
  if (!format.symmetric.value_or(false)) return zeros.to(torch::kFloat32);
  const torch::Tensor others = zeros.masked_select(zeros.ne(format.middle()));
  if (others.numel() > 0) {
    throw DataError(
        fmt::format("{}.qzeros holds a zero point of {}{}; expected {} throughout, for config.json "
                    "says \"sym\": true: correct what is wrong in quantization_config (sym, bits, "
                    "checkpoint_format)",
                    what, others[0].item<int64_t>(),
                    format.zeros_minus_one ? " (stored minus one)" : "", format.middle()));
  }
  return zeros.to(torch::kFloat32);
}

}  // namespace

std::optional<int64_t> uniform_stored_zero(const torch::Tensor& qzeros, int64_t bits) {
  const torch::Tensor zeros = stored_zeros(qzeros, bits);
  if (zeros.numel() == 0) return std::nullopt;
  const auto first = zeros.flatten()[0].item<int64_t>();
  if (zeros.ne(first).any().item<bool>()) return std::nullopt;
  return first;
}

torch::Tensor dequantize_gptq(const GptqTensors& tensors, const GptqFormat& format,
                              const std::string& what, int64_t first, int64_t count) {
  const int64_t words = tensors.qweight.size(0);
  const int64_t outputs = tensors.qweight.size(1);
  const int64_t inputs = words * 32 / format.bits;
  const int64_t groups = tensors.scales.size(0);
  TORCH_CHECK(tensors.scales.size(1) == outputs && tensors.qzeros.size(0) == groups &&
                  tensors.qzeros.size(1) * 32 == outputs * format.bits &&
                  words * 32 == inputs * format.bits && first + count <= outputs,
              "dequantize_gptq: ", what, " has parts of different shapes");
  const std::vector<int32_t> group = input_groups(tensors, format, inputs, groups, what);
  const torch::Tensor packed = tensors.qweight.contiguous();
  const torch::Tensor zeros = unpack_zeros(tensors.qzeros, format, what).contiguous();
  const torch::Tensor scales = tensors.scales.to(torch::kFloat32).contiguous();
  torch::Tensor weight = torch::empty({count, inputs}, torch::kFloat32);
  const auto* word = packed.const_data_ptr<int32_t>();
  const auto* zero = zeros.const_data_ptr<float>();
  const auto* scale = scales.const_data_ptr<float>();
  auto* value = weight.mutable_data_ptr<float>();
  // A thread writes whole rows and reads the words by columns, a cache line's worth at a time.
  constexpr int64_t kOutputsAtOnce = 16;
  at::parallel_for(0, count, kOutputsAtOnce, [&](int64_t begin, int64_t end) {
    for (int64_t from = begin; from < end; from += kOutputsAtOnce) {
      const int64_t to = std::min(from + kOutputsAtOnce, end);
      for (int64_t i = 0; i < inputs; ++i) {
        for (int64_t row = from; row < to; ++row) {
          const int64_t o = first + row;
          const int64_t at = group[i] * outputs + o;
          const auto q = static_cast<float>(packed_code(word + o, outputs, i, format.bits));
          value[row * inputs + i] = scale[at] * (q - zero[at]);
        }
      }
    }
  });
  return weight;
}

torch::Tensor dequantize_gptq(const GptqTensors& tensors, const GptqFormat& format,
                              const std::string& what) {
  return dequantize_gptq(tensors, format, what, 0, tensors.qweight.size(1));
}

}  // namespace foregate::tensor
