// Quantised rows against the formulas of the papers, written once more in plain double precision.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <limits>

#include "quantized_aten.h"
#include "support/test_files.h"
#include "tensor/weight/encoding.h"
#include "tensor/weight/quantized_rows.h"
#include "tensor/weight/weight.h"

namespace foregate::tensor {
namespace {

using testing::CodesAndScales;
using testing::decode_aten;
using testing::encode_aten;
using testing::error_of;

constexpr int64_t kColumnCounts[] = {1, 31, 32, 33, 63, 64, 65, 128, 1000};

Weight quantize(const torch::Tensor& values, Quantization quantization) {
  Weight weight = Weight::empty(values.sizes(), quantization, torch::kCPU, torch::kFloat32);
  weight.assign(values, "test");
  return weight;
}

// Normal values with a row of zeros and outliers.
torch::Tensor sample(int64_t rows, int64_t columns) {
  torch::manual_seed(rows * 10'007 + columns);
  torch::Tensor values = torch::randn({rows, columns}) * 0.02;
  if (rows > 2) values[1].zero_();
  if (rows > 2) values[2][0] = 3.5F;
  return values;
}

TEST(Quantized, Int8IsTheNearestMultipleOfTheRowsScale) {
  for (const int64_t columns : kColumnCounts) {
    const torch::Tensor values = sample(5, columns);
    const Weight weight = quantize(values, Quantization::kInt8);
    for (int64_t row = 0; row < 5; ++row) {
      double largest = 0;
      for (int64_t i = 0; i < columns; ++i) {
        largest = std::max(largest, std::fabs(double{values[row][i].item<float>()}));
      }
      const double scale = weight.scales()[row].item<float>();
      EXPECT_NEAR(scale, largest / 127, 1e-7 * largest);
      for (int64_t i = 0; i < columns; ++i) {
        const double value = values[row][i].item<float>();
        const int code = weight.codes()[row][i].item<int8_t>();
        if (scale == 0) {
          EXPECT_EQ(code, 0);
        } else {
          // Nearest up to float32's rounding of the quotient.
          EXPECT_LE(std::fabs(value / scale - code), 0.5 + 1e-4);
        }
      }
    }
  }
}

TEST(Quantized, Int8RoundsHalvesToEven) {
  const torch::Tensor values = torch::tensor({127.0F, 0.5F, 1.5F, 2.5F, -0.5F, -1.5F, -126.5F});
  const Weight weight = quantize(values.unsqueeze(0), Quantization::kInt8);
  EXPECT_TRUE(
      torch::equal(weight.codes()[0], torch::tensor({127, 0, 2, 2, 0, -2, -126}).to(torch::kInt8)));
}

TEST(Quantized, Nf4IsTheNearestOfThe16ValuesInEachBlock) {
  for (const int64_t columns : kColumnCounts) {
    const torch::Tensor values = sample(4, columns);
    const Weight weight = quantize(values, Quantization::kNf4);
    EXPECT_EQ(weight.sizes(), values.sizes());
    const torch::Tensor decoded = weight.dequantize(torch::kFloat32);
    for (int64_t row = 0; row < 4; ++row) {
      for (int64_t i = 0; i < columns; ++i) {
        const int64_t block = i / 64;
        const double scale =
            values[row].slice(0, block * 64, (block + 1) * 64).abs().max().item<float>();
        EXPECT_EQ(weight.scales()[row][block].item<float>(), static_cast<float>(scale));
        const double value = values[row][i].item<float>();
        double nearest = std::numeric_limits<double>::infinity();
        for (const float level : kNf4Values) {
          nearest = std::min(nearest, std::fabs(value - scale * level));
        }
        EXPECT_NEAR(std::fabs(value - decoded[row][i].item<float>()), nearest, 1e-6 * scale);
      }
    }
  }
}

TEST(Quantized, Nf4PacksTheFirstOfTwoIntoTheUpperHalf) {
  const torch::Tensor values = torch::tensor({{1.0F, -1.0F, 0.0F, 0.7229568362236023F, 1.0F}});
  const Weight weight = quantize(values, Quantization::kNf4);
  EXPECT_TRUE(torch::equal(weight.codes(), torch::tensor({{0xF0, 0x7E, 0xF0}}).to(torch::kUInt8)));
}

TEST(Quantized, AllNf4BytesDecode) {
  torch::Tensor codes = torch::arange(256).to(torch::kUInt8).unsqueeze(0);
  const Weight weight(Quantization::kNf4, codes, torch::full({1, 8}, 2.0F), 512);
  const torch::Tensor decoded = weight.dequantize(torch::kFloat32)[0];
  for (int byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(decoded[2 * byte].item<float>(), 2 * kNf4Values[byte >> 4]);
    EXPECT_EQ(decoded[2 * byte + 1].item<float>(), 2 * kNf4Values[byte & 15]);
  }
}

class QuantizedKinds : public ::testing::TestWithParam<Quantization> {};

TEST_P(QuantizedKinds, AtenGivesTheSameBits) {
  for (const int64_t columns : kColumnCounts) {
    const torch::Tensor values = sample(7, columns);
    const Weight weight = quantize(values, GetParam());
    const CodesAndScales encoded = encode_aten(GetParam(), values);
    EXPECT_TRUE(torch::equal(encoded.codes, weight.codes())) << columns;
    EXPECT_TRUE(torch::equal(encoded.scales, weight.scales())) << columns;
    for (const auto dtype : {torch::kFloat32, torch::kBFloat16, torch::kFloat16}) {
      EXPECT_TRUE(
          torch::equal(decode_aten(GetParam(), weight.codes(), weight.scales(), columns, dtype),
                       weight.dequantize(dtype)))
          << columns << " " << dtype;
    }
  }
}

TEST_P(QuantizedKinds, SixteenBitsAreTheRoundedValues) {
  const Weight weight = quantize(sample(9, 200), GetParam());
  const torch::Tensor exact = weight.dequantize(torch::kFloat32);
  for (const auto dtype : {torch::kBFloat16, torch::kFloat16}) {
    EXPECT_TRUE(torch::equal(weight.dequantize(dtype), exact.to(dtype))) << dtype;
  }
}

TEST_P(QuantizedKinds, AssignedInPartsFromAnyDtype) {
  const torch::Tensor values = sample(6, 96).to(torch::kBFloat16);
  const Weight whole = quantize(values, GetParam());
  Weight stack = Weight::empty({3, 2, 96}, GetParam(), torch::kCPU, torch::kFloat32);
  for (int64_t i = 0; i < 3; ++i) {
    stack[i].narrow(0, 1).assign(values.narrow(0, 2 * i, 1), "first");
    stack[i].narrow(1, 1).assign(values.narrow(0, 2 * i + 1, 1), "second");
  }
  EXPECT_EQ(stack.sizes(), (std::vector<int64_t>{3, 2, 96}));
  EXPECT_TRUE(torch::equal(stack.dequantize(torch::kFloat32).view({6, 96}),
                           whole.dequantize(torch::kFloat32)));
  EXPECT_TRUE(torch::equal(stack[1].dequantize(torch::kFloat32),
                           whole.narrow(2, 2).dequantize(torch::kFloat32)));
}

TEST_P(QuantizedKinds, LargeMatrixIsQuantizedByPieces) {
  const torch::Tensor values = sample(5000, 1024);  // more than one piece
  const Weight weight = quantize(values, GetParam());
  for (const int64_t row : {0, 1, 4095, 4096, 4999}) {
    const Weight alone = quantize(values.narrow(0, row, 1), GetParam());
    EXPECT_TRUE(torch::equal(weight.codes()[row], alone.codes()[0])) << row;
  }
}

TEST_P(QuantizedKinds, ConvertedBetweenKinds) {
  const torch::Tensor values = sample(4, 128);
  const Weight source = quantize(values, GetParam());
  Weight copy = Weight::empty({4, 128}, GetParam(), torch::kCPU, torch::kFloat32);
  copy.assign(source, "copy");
  EXPECT_TRUE(torch::equal(copy.codes(), source.codes()));
  Weight dense = Weight::empty({4, 128}, Quantization::kNone, torch::kCPU, torch::kBFloat16);
  dense.assign(source, "dense");
  EXPECT_TRUE(torch::equal(dense.dense(), source.dequantize(torch::kBFloat16)));
  // Quantised again, what was quantised stays.
  EXPECT_TRUE(torch::equal(quantize(source.dequantize(torch::kFloat32), GetParam()).codes(),
                           source.codes()));
}

TEST_P(QuantizedKinds, EmptyAndZeroMatrices) {
  EXPECT_EQ(quantize(torch::zeros({0, 64}), GetParam()).dequantize(torch::kFloat32).numel(), 0);
  const torch::Tensor zeros = torch::zeros({3, 65});
  EXPECT_TRUE(torch::equal(quantize(zeros, GetParam()).dequantize(torch::kFloat32), zeros));
}

TEST_P(QuantizedKinds, RefusesWhatIsNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN()}) {
    torch::Tensor values = sample(3, 70);
    values[2][69] = bad;
    EXPECT_THAT(error_of([&] { quantize(values, GetParam()); }),
                ::testing::HasSubstr("test has a value that is not finite"));
  }
}

INSTANTIATE_TEST_SUITE_P(All, QuantizedKinds,
                         ::testing::Values(Quantization::kInt8, Quantization::kNf4),
                         [](const auto& kind) { return quantization_name(kind.param); });

TEST(Quantized, BytesAreThoseOfTheTensors) {
  for (const Quantization kind : {Quantization::kNone, Quantization::kInt8, Quantization::kNf4}) {
    const Weight weight = Weight::empty({33, 100}, kind, torch::kCPU, torch::kBFloat16);
    EXPECT_EQ(weight.nbytes(), matrix_bytes(kind, 33, 100, 2)) << quantization_name(kind);
  }
}

TEST(Quantized, EachKindHasItsLine) {
  for (const Quantization kind : all_quantizations()) EXPECT_EQ(encoding(kind).kind, kind);
  EXPECT_EQ(all_quantizations().front(), Quantization::kNone);
  EXPECT_TRUE(encoding(Quantization::kNone).is_dense());
  EXPECT_EQ(quantization_names(/*none=*/false), "int8 or nf4");
}

TEST(Quantized, ShapesOfCodesAndScales) {
  const Encoding& int8 = encoding(Quantization::kInt8);
  const Encoding& nf4 = encoding(Quantization::kNf4);
  for (const int64_t columns : kColumnCounts) {
    EXPECT_EQ(int8.codes_shape({3, 2, columns}), (Encoding::Shape{3, 2, columns}));
    EXPECT_EQ(int8.scales_shape({3, 2, columns}), (Encoding::Shape{3, 2}));
    EXPECT_EQ(nf4.codes_shape({2, columns}), (Encoding::Shape{2, (columns + 1) / 2}));
    EXPECT_EQ(nf4.scales_shape({2, columns}), (Encoding::Shape{2, (columns + 63) / 64}));
  }
}

TEST(Quantized, NamesAreChecked) {
  EXPECT_EQ(parse_quantization("nf4"), Quantization::kNf4);
  EXPECT_THAT(error_of([] { parse_quantization("int4"); }),
              ::testing::HasSubstr("none, int8 or nf4"));
}

}  // namespace
}  // namespace foregate::tensor
