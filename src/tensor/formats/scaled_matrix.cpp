#include "tensor/formats/scaled_matrix.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>

#include "tensor/formats/code_values.h"

namespace foregate::tensor {
namespace {

constexpr int64_t kGrainCodes = int64_t{1} << 14;

int64_t blocks_of(int64_t size, int64_t block) {
  return block == 0 ? 1 : (size + block - 1) / block;
}

int64_t block_at(int64_t index, int64_t block) {
  return block == 0 ? 0 : index / block;
}

// [..] of any kind of scale -> the same in float32
torch::Tensor scale_values(const torch::Tensor& stored) {
  const torch::Tensor scales = stored.contiguous();
  if (scales.scalar_type() != torch::kUInt8 && scales.scalar_type() != torch::kFloat8_e8m0fnu) {
    return scales.to(torch::kFloat32);
  }
  torch::Tensor values = torch::empty(scales.sizes(), torch::kFloat32);
  const auto* code = static_cast<const uint8_t*>(scales.const_data_ptr());
  std::transform(code, code + scales.numel(), values.mutable_data_ptr<float>(), e8m0_value);
  return values;
}

/// Decodes rows, each by itself.
class RowDecoder {
 public:
  RowDecoder(const ScaledTensors& tensors, const ScaledFormat& format, int64_t rows,
             int64_t columns, int64_t first, int64_t count)
      : format_(format),
        rows_(rows),
        columns_(columns),
        scale_columns_(format.scale_columns(columns)),
        first_(first),
        first_scale_row_(scale_row(first)),
        codes_(tensors.codes.contiguous()),
        zeros_(tensors.zeros) {
    const int64_t scale_rows = count == 0 ? 0 : scale_row(first + count - 1) + 1 - first_scale_row_;
    scales_ = scale_values(
        tensors.scales.reshape({-1, scale_columns_}).narrow(0, first_scale_row_, scale_rows));
    switch (format.global) {
      case ScaledFormat::Global::kNone:
        break;
      case ScaledFormat::Global::kMultiplies:
        scales_ = scales_ * tensors.global.reshape({}).to(torch::kFloat32);
        break;
      case ScaledFormat::Global::kDivides:
        scales_ = scales_ / tensors.global.reshape({}).to(torch::kFloat32);
        break;
    }
    if (zeros_.defined()) zeros_ = zeros_.contiguous();
  }

  void decode(int64_t row, float* values) const {
    read_codes(row, values);
    const float* scale =
        scales_.const_data_ptr<float>() + (scale_row(row) - first_scale_row_) * scale_columns_;
    const int64_t block = format_.block_columns == 0 ? columns_ : format_.block_columns;
    for (int64_t b = 0; b < scale_columns_; ++b) {
      const int64_t end = std::min((b + 1) * block, columns_);
      const float zero = zero_of(row, b);
      for (int64_t i = b * block; i < end; ++i) values[i] = (values[i] - zero) * scale[b];
    }
  }

 private:
  // Counted through the stack.
  int64_t scale_row(int64_t row) const {
    return row / rows_ * format_.scale_rows(rows_) + block_at(row % rows_, format_.block_rows);
  }

  void read_codes(int64_t row, float* values) const {
    const int64_t offset = (row - first_) * format_.row_codes(columns_);
    const auto* bytes = static_cast<const uint8_t*>(codes_.const_data_ptr()) + offset;
    switch (format_.codes) {
      case ScaledFormat::Codes::kE4m3:
        for (int64_t i = 0; i < columns_; ++i) values[i] = kE4m3Values[bytes[i]];
        return;
      case ScaledFormat::Codes::kInt8:
        for (int64_t i = 0; i < columns_; ++i) values[i] = static_cast<int8_t>(bytes[i]);
        return;
      case ScaledFormat::Codes::kPackedInt: {
        const int32_t* words = codes_.const_data_ptr<int32_t>() + offset;
        const float middle = static_cast<float>(1 << (format_.bits - 1));
        for (int64_t i = 0; i < columns_; ++i) {
          values[i] = static_cast<float>(packed_code(words, 1, i, format_.bits)) - middle;
        }
        return;
      }
      case ScaledFormat::Codes::kE2m1:
        for (int64_t i = 0; i < columns_; ++i) {
          values[i] = kE2m1Values[bytes[i / 2] >> (i % 2 * 4) & 15];
        }
        return;
    }
  }

  float zero_of(int64_t row, int64_t block) const {
    switch (format_.zeros) {
      case ScaledFormat::Zeros::kNone:
        return 0;
      case ScaledFormat::Zeros::kInt8:
        return zeros_.const_data_ptr<int8_t>()[scale_row(row) * scale_columns_ + block];
      case ScaledFormat::Zeros::kPackedInt: {
        const int64_t words = packed_words(rows_, format_.bits);
        const int32_t* matrix =
            zeros_.const_data_ptr<int32_t>() + row / rows_ * words * scale_columns_;
        return static_cast<float>(
                   packed_code(matrix + block, scale_columns_, row % rows_, format_.bits)) -
               static_cast<float>(1 << (format_.bits - 1));
      }
    }
    __builtin_unreachable();
  }

  const ScaledFormat& format_;
  int64_t rows_;
  int64_t columns_;
  int64_t scale_columns_;
  int64_t first_;
  int64_t first_scale_row_;
  torch::Tensor codes_;
  torch::Tensor zeros_;
  torch::Tensor scales_;  // of the rows that are asked for, float32
};

}  // namespace

int64_t ScaledFormat::row_codes(int64_t columns) const {
  switch (codes) {
    case Codes::kE4m3:
    case Codes::kInt8:
      return columns;
    case Codes::kPackedInt:
      return packed_words(columns, bits);
    case Codes::kE2m1:
      return (columns + 1) / 2;
  }
  __builtin_unreachable();
}

int64_t ScaledFormat::scale_rows(int64_t rows) const {
  return blocks_of(rows, block_rows);
}

int64_t ScaledFormat::scale_columns(int64_t columns) const {
  return blocks_of(columns, block_columns);
}

torch::Tensor dequantize_scaled(const ScaledTensors& tensors, const ScaledFormat& format,
                                int64_t rows, int64_t columns, int64_t first, int64_t count) {
  TORCH_CHECK(tensors.codes.numel() == count * format.row_codes(columns) &&
                  tensors.scales.numel() % format.scale_columns(columns) == 0,
              "dequantize_scaled: codes ", tensors.codes.sizes(), " and scales ",
              tensors.scales.sizes(), " do not belong to ", count, " rows of ", columns);
  torch::Tensor values = torch::empty({count, columns}, torch::kFloat32);
  const RowDecoder decoder(tensors, format, rows, columns, first, count);
  auto* value = values.mutable_data_ptr<float>();
  const int64_t grain = std::max<int64_t>(1, kGrainCodes / std::max<int64_t>(1, columns));
  at::parallel_for(0, count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) decoder.decode(first + row, value + row * columns);
  });
  return values;
}

}  // namespace foregate::tensor
