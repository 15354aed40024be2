#include "tensor/files/gptq.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "support/test_files.h"

namespace foregate::tensor {
namespace {

// A matrix packed by hand, number by number.
struct Packed {
  GptqFormat format;
  GptqTensors tensors;
  torch::Tensor expected;  // [out, in]
};

Packed pack(int64_t bits, int64_t inputs, int64_t outputs, int64_t group_size, bool minus_one,
            bool act_order) {
  torch::manual_seed(bits + inputs);
  Packed packed{{bits, group_size, minus_one}, {}, torch::empty({outputs, inputs})};
  const int64_t groups = packed.format.groups(inputs);
  const int64_t levels = int64_t{1} << bits;
  const int64_t per_word = 32 / bits;
  const torch::Tensor codes = torch::randint(levels, {inputs, outputs});
  const torch::Tensor zeros = torch::randint(levels, {groups, outputs});
  const torch::Tensor scales = torch::rand({groups, outputs}).add(0.01).to(torch::kFloat16);
  const torch::Tensor order = torch::randperm(inputs);
  torch::Tensor group = torch::empty({inputs}, torch::kInt32);
  for (int64_t i = 0; i < inputs; ++i) {
    const int64_t place = act_order ? order[i].item<int64_t>() : i;
    group[i] = static_cast<int32_t>(group_size < 0 ? 0 : place / group_size);
  }
  std::vector<uint32_t> qweight(inputs / per_word * outputs, 0);
  std::vector<uint32_t> qzeros(groups * outputs / per_word, 0);
  for (int64_t o = 0; o < outputs; ++o) {
    for (int64_t i = 0; i < inputs; ++i) {
      const auto code = codes[i][o].item<int64_t>();
      const auto g = group[i].item<int32_t>();
      qweight[i / per_word * outputs + o] |= static_cast<uint32_t>(code) << (i % per_word * bits);
      packed.expected[o][i] =
          scales[g][o].item<float>() * static_cast<float>(code - zeros[g][o].item<int64_t>());
    }
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t stored = (zeros[g][o].item<int64_t>() - (minus_one ? 1 : 0) + levels) % levels;
      qzeros[(g * outputs + o) / per_word] |= static_cast<uint32_t>(stored)
                                              << (o % per_word * bits);
    }
  }
  const auto words = [](const std::vector<uint32_t>& data, at::IntArrayRef shape) {
    return torch::from_blob(const_cast<uint32_t*>(data.data()), shape, torch::kInt32).clone();
  };
  packed.tensors = {words(qweight, {inputs / per_word, outputs}),
                    words(qzeros, {groups, outputs / per_word}), scales, group};
  if (!act_order) packed.tensors.g_idx = torch::Tensor();
  return packed;
}

TEST(Gptq, EveryLayoutIsUnpacked) {
  for (const int64_t bits : {4, 8}) {
    for (const int64_t group_size : {-1, 16, 32}) {
      for (const bool minus_one : {false, true}) {
        for (const bool act_order : {false, true}) {
          for (const int64_t outputs : {8, 24, 40}) {
            const Packed packed = pack(bits, 64, outputs, group_size, minus_one, act_order);
            EXPECT_TRUE(
                torch::equal(dequantize_gptq(packed.tensors, packed.format, "m"), packed.expected))
                << bits << " " << group_size << " " << minus_one << act_order << " " << outputs;
          }
        }
      }
    }
  }
}

TEST(Gptq, RefusesGroupsThatDoNotExist) {
  Packed packed = pack(4, 64, 8, 16, true, true);
  packed.tensors.g_idx[5] = 4;
  EXPECT_EQ(
      testing::error_of([&] { dequantize_gptq(packed.tensors, packed.format, "file: q_proj"); }),
      "file: q_proj.g_idx[5] is 4; expected a group in [0, 3]");
}

}  // namespace
}  // namespace foregate::tensor
