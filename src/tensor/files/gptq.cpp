#include "tensor/files/gptq.h"

#include <ATen/Parallel.h>
#include <fmt/core.h>
#include <torch/types.h>

#include <algorithm>
#include <vector>

#include "base/error.h"

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
  const int64_t mask = (int64_t{1} << bits) - 1;
  const torch::Tensor shifts = torch::arange(0, 32, bits, torch::kInt32);
  return at::bitwise_right_shift(qzeros.unsqueeze(-1), shifts).bitwise_and_(mask).flatten(-2);
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
                              const std::string& what) {
  const int64_t per_word = format.values_per_word();
  const int64_t words = tensors.qweight.size(0);
  const int64_t outputs = tensors.qweight.size(1);
  const int64_t inputs = words * per_word;
  const int64_t groups = tensors.scales.size(0);
  TORCH_CHECK(tensors.scales.size(1) == outputs && tensors.qzeros.size(0) == groups &&
                  tensors.qzeros.size(1) * per_word == outputs,
              "dequantize_gptq: ", what, " has parts of different shapes");
  const std::vector<int32_t> group = input_groups(tensors, format, inputs, groups, what);
  const torch::Tensor packed = tensors.qweight.contiguous();
  const torch::Tensor zeros = unpack_zeros(tensors.qzeros, format, what).contiguous();
  const torch::Tensor scales = tensors.scales.to(torch::kFloat32).contiguous();
  torch::Tensor weight = torch::empty({outputs, inputs}, torch::kFloat32);
  const auto* word = packed.const_data_ptr<int32_t>();
  const auto* zero = zeros.const_data_ptr<float>();
  const auto* scale = scales.const_data_ptr<float>();
  auto* value = weight.mutable_data_ptr<float>();
  const auto mask = static_cast<uint32_t>((uint64_t{1} << format.bits) - 1);
  // A thread writes whole rows and reads the words by columns, a cache line's worth at a time.
  constexpr int64_t kOutputsAtOnce = 16;
  at::parallel_for(0, outputs, kOutputsAtOnce, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += kOutputsAtOnce) {
      const int64_t last = std::min(first + kOutputsAtOnce, end);
      for (int64_t w = 0; w < words; ++w) {
        for (int64_t o = first; o < last; ++o) {
          const auto bits = static_cast<uint32_t>(word[w * outputs + o]);
          for (int64_t j = 0; j < per_word; ++j) {
            const int64_t i = w * per_word + j;
            const int64_t at = group[i] * outputs + o;
            const auto q = static_cast<float>(bits >> (j * format.bits) & mask);
            value[o * inputs + i] = scale[at] * (q - zero[at]);
          }
        }
      }
    }
  });
  return weight;
}

}  // namespace foregate::tensor
