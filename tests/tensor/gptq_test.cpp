#include "tensor/formats/gptq.h"

#include <fmt/format.h>
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
  const torch::Tensor codes = torch::randint(levels, {inputs, outputs});
  const torch::Tensor zeros = torch::randint(levels, {groups, outputs});
  const torch::Tensor scales = torch::rand({groups, outputs}).add(0.01).to(torch::kFloat16);
  const torch::Tensor order = torch::randperm(inputs);
  torch::Tensor group = torch::empty({inputs}, torch::kInt32);
  for (int64_t i = 0; i < inputs; ++i) {
    const int64_t place = act_order ? order[i].item<int64_t>() : i;
    group[i] = static_cast<int32_t>(group_size < 0 ? 0 : place / group_size);
  }
  const int64_t zero_words = outputs * bits / 32;
  std::vector<uint32_t> qweight(inputs * bits / 32 * outputs, 0);
  std::vector<uint32_t> qzeros(groups * zero_words, 0);
  // Number `index` of those that begin at `first` and lie `stride` words apart, bit by bit.
  const auto put = [&](std::vector<uint32_t>& words, int64_t first, int64_t stride, int64_t index,
                       int64_t value) {
    for (int64_t bit = 0; bit < bits; ++bit) {
      const int64_t at = index * bits + bit;
      words[first + at / 32 * stride] |= static_cast<uint32_t>(value >> bit & 1) << (at % 32);
    }
  };
  for (int64_t o = 0; o < outputs; ++o) {
    for (int64_t i = 0; i < inputs; ++i) {
      const auto code = codes[i][o].item<int64_t>();
      const auto g = group[i].item<int32_t>();
      put(qweight, o, outputs, i, code);
      packed.expected[o][i] =
          scales[g][o].item<float>() * static_cast<float>(code - zeros[g][o].item<int64_t>());
    }
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t stored = (zeros[g][o].item<int64_t>() - (minus_one ? 1 : 0) + levels) % levels;
      put(qzeros, g * zero_words, 1, o, stored);
    }
  }
  const auto words = [](const std::vector<uint32_t>& data, at::IntArrayRef shape) {
    return torch::from_blob(const_cast<uint32_t*>(data.data()), shape, torch::kInt32).clone();
  };
  packed.tensors = {words(qweight, {inputs * bits / 32, outputs}),
                    words(qzeros, {groups, zero_words}), scales, group};
  if (!act_order) packed.tensors.g_idx = torch::Tensor();
  return packed;
}

TEST(Gptq, EveryLayoutIsUnpacked) {
  for (const int64_t bits : {2, 3, 4, 8}) {
    for (const int64_t group_size : {-1, 16, 32}) {
      for (const bool minus_one : {false, true}) {
        for (const bool act_order : {false, true}) {
          for (const int64_t outputs : {8, 24, 40, 64}) {
            if (outputs * bits % 32 != 0) continue;  // does not fill words of zeros
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

TEST(Gptq, AnyRunOfOutputsIsThatOfTheWhole) {
  const Packed packed = pack(3, 64, 64, 16, true, true);
  const std::vector<std::pair<int64_t, int64_t>> runs = {{0, 64}, {1, 1}, {17, 40}, {64, 0}};
  for (const auto& [first, count] : runs) {
    EXPECT_TRUE(torch::equal(dequantize_gptq(packed.tensors, packed.format, "m", first, count),
                             packed.expected.narrow(0, first, count)));
  }
}

TEST(Gptq, RefusesGroupsThatDoNotExist) {
  Packed packed = pack(4, 64, 8, 16, true, true);
  packed.tensors.g_idx[5] = 4;
  EXPECT_EQ(
      testing::error_of([&] { dequantize_gptq(packed.tensors, packed.format, "file: q_proj"); }),
      "file: q_proj.g_idx[5] is 4; expected a group in [0, 3]");
}

// A matrix whose zeros are all stored as `stored`.
Packed symmetric(int64_t bits, int64_t stored) {
  Packed packed = pack(bits, 64, 8, 16, true, false);
  int64_t word = 0;
  for (int64_t at = 0; at < 32; at += bits) word |= stored << at;
  packed.tensors.qzeros.fill_(static_cast<int32_t>(static_cast<uint32_t>(word)));
  packed.format.symmetric = true;
  return packed;
}

TEST(Gptq, SymmetricZerosAreTheMiddle) {
  for (const int64_t bits : {4, 8}) {
    Packed packed = symmetric(bits, (1 << (bits - 1)) - 1);
    EXPECT_NO_THROW(dequantize_gptq(packed.tensors, packed.format, "m"));
    packed.format.zeros_minus_one = false;
    EXPECT_THAT(
        testing::error_of([&] { dequantize_gptq(packed.tensors, packed.format, "file: q_proj"); }),
        ::testing::HasSubstr(
            fmt::format("file: q_proj.qzeros holds a zero point of {}; expected {}",
                        (1 << (bits - 1)) - 1, 1 << (bits - 1))));
    packed.format.symmetric = false;
    EXPECT_NO_THROW(dequantize_gptq(packed.tensors, packed.format, "m"));
  }
}

TEST(Gptq, UniformZerosAreFound) {
  EXPECT_EQ(uniform_stored_zero(symmetric(4, 7).tensors.qzeros, 4), 7);
  EXPECT_EQ(uniform_stored_zero(symmetric(4, 8).tensors.qzeros, 4), 8);
  EXPECT_EQ(uniform_stored_zero(symmetric(8, 128).tensors.qzeros, 8), 128);
  EXPECT_EQ(uniform_stored_zero(pack(4, 64, 8, 16, true, false).tensors.qzeros, 4), std::nullopt);
}

TEST(Gptq, RefusesGroupsOfOtherSizes) {
  Packed packed = pack(4, 64, 8, 16, true, true);
  packed.tensors.g_idx.fill_(0);  // never filled in
  EXPECT_THAT(
      testing::error_of([&] { dequantize_gptq(packed.tensors, packed.format, "file: q_proj"); }),
      ::testing::HasSubstr("file: q_proj.g_idx puts 64 inputs into group 0; expected 16"));
  packed = pack(4, 64, 8, 48, true, true);
  EXPECT_NO_THROW(dequantize_gptq(packed.tensors, packed.format, "m"));
  packed.format.group_size = 40;  // as many groups
  EXPECT_THAT(testing::error_of([&] { dequantize_gptq(packed.tensors, packed.format, "m"); }),
              ::testing::HasSubstr("m.g_idx puts 48 inputs into group 0; expected 40"));
}

TEST(Gptq, ScalesMayBeOfAnyFloat) {
  Packed packed = pack(4, 64, 8, 16, true, false);
  packed.tensors.scales = packed.tensors.scales.to(torch::kFloat32);
  EXPECT_TRUE(torch::equal(dequantize_gptq(packed.tensors, packed.format, "m"), packed.expected));
}

}  // namespace
}  // namespace foregate::tensor
