#include "tensor/weight/weight.h"

#include <ATen/Parallel.h>
#include <fmt/core.h>
#include <torch/types.h>

#include <algorithm>
#include <atomic>

#include "base/error.h"
#include "tensor/device/pinned.h"
#include "tensor/weight/quantized_aten.h"
#include "tensor/weight/quantized_rows.h"

namespace foregate::tensor {
namespace {

constexpr int64_t kPieceValues = int64_t{1} << 22;  // 16 MB of float32
constexpr int64_t kGrainValues = int64_t{1} << 14;

int64_t grain_rows(int64_t columns) {
  return std::max<int64_t>(1, kGrainValues / std::max<int64_t>(1, columns));
}

// Rows of `values` into the codes of the same rows; false if one is not finite.
bool encode_rows(Quantization quantization, const torch::Tensor& values, torch::Tensor& codes,
                 torch::Tensor& scales) {
  const int64_t columns = values.size(1);
  const auto* value = values.const_data_ptr<float>();
  auto* scale = scales.mutable_data_ptr<float>();
  std::atomic<bool> finite{true};
  at::parallel_for(0, values.size(0), grain_rows(columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* from = value + row * columns;
      const bool fine =
          quantization == Quantization::kInt8
              ? encode_int8(from, columns, codes.mutable_data_ptr<int8_t>() + row * columns,
                            scale + row)
              : encode_nf4(from, columns,
                           codes.mutable_data_ptr<uint8_t>() + row * nf4_code_bytes(columns),
                           scale + row * nf4_blocks(columns));
      if (!fine) finite = false;
    }
  });
  return finite;
}

void decode_row(const Weight& weight, int64_t row, int64_t columns, float* values) {
  const auto* scale = weight.scales().const_data_ptr<float>();
  if (weight.quantization() == Quantization::kInt8) {
    decode_int8(weight.codes().const_data_ptr<int8_t>() + row * columns, scale[row], columns,
                values);
  } else {
    decode_nf4(weight.codes().const_data_ptr<uint8_t>() + row * nf4_code_bytes(columns),
               scale + row * nf4_blocks(columns), columns, values);
  }
}

// Writes decoded rows; what is not float32 goes through a buffer that stays in the cache.
void decode_rows(const Weight& weight, int64_t columns, torch::Tensor& result) {
  const int64_t rows = columns == 0 ? 0 : result.numel() / columns;
  const torch::ScalarType dtype = result.scalar_type();
  at::parallel_for(0, rows, grain_rows(columns), [&](int64_t begin, int64_t end) {
    std::vector<float> buffer(dtype == torch::kFloat32 ? 0 : columns);
    for (int64_t row = begin; row < end; ++row) {
      const int64_t first = row * columns;
      if (dtype == torch::kFloat32) {
        decode_row(weight, row, columns, result.mutable_data_ptr<float>() + first);
        continue;
      }
      decode_row(weight, row, columns, buffer.data());
      if (dtype == torch::kBFloat16) {
        auto* rounded = static_cast<uint16_t*>(result.mutable_data_ptr());
        round_to_bfloat16(buffer.data(), columns, rounded + first);
      } else {
        auto* half = result.mutable_data_ptr<at::Half>() + first;
        std::copy(buffer.begin(), buffer.end(), half);
      }
    }
  });
}

std::vector<int64_t> with_last(at::IntArrayRef shape, int64_t last) {
  std::vector<int64_t> sizes = shape.vec();
  sizes.back() = last;
  return sizes;
}

DataError not_finite(const std::string& what, Quantization quantization) {
  return DataError(
      fmt::format("{} has a value that is not finite, which {} cannot keep; is the file damaged?",
                  what, quantization_name(quantization)));
}

}  // namespace

Weight::Weight(Quantization quantization, torch::Tensor codes, torch::Tensor scales,
               int64_t columns)
    : quantization_(quantization),
      columns_(columns),
      values_(std::move(codes)),
      scales_(std::move(scales)) {
  TORCH_CHECK(is_quantized() &&
                  values_.size(-1) ==
                      (quantization == Quantization::kNf4 ? nf4_code_bytes(columns) : columns),
              "Weight: codes are ", values_.sizes(), " for ", columns, " columns");
}

Weight Weight::empty(at::IntArrayRef shape, Quantization quantization, torch::Device device,
                     torch::ScalarType dtype) {
  const auto options = torch::TensorOptions().device(device);
  const int64_t columns = shape.back();
  switch (quantization) {
    case Quantization::kInt8:
      return {quantization, torch::empty(shape, options.dtype(torch::kInt8)),
              torch::empty(shape.slice(0, shape.size() - 1), options.dtype(torch::kFloat32)),
              columns};
    case Quantization::kNf4:
      return {quantization,
              torch::empty(with_last(shape, nf4_code_bytes(columns)), options.dtype(torch::kUInt8)),
              torch::empty(with_last(shape, nf4_blocks(columns)), options.dtype(torch::kFloat32)),
              columns};
    default:
      return torch::empty(shape, options.dtype(dtype));
  }
}

int64_t Weight::size(int64_t dimension) const {
  const bool last = dimension == -1 || dimension == dim() - 1;
  return is_quantized() && last ? columns_ : values_.size(dimension);
}

std::vector<int64_t> Weight::sizes() const {
  return is_quantized() ? with_last(values_.sizes(), columns_) : values_.sizes().vec();
}

int64_t Weight::nbytes() const {
  if (!defined()) return 0;
  const auto bytes = static_cast<int64_t>(values_.nbytes());
  return is_quantized() ? bytes + static_cast<int64_t>(scales_.nbytes()) : bytes;
}

const torch::Tensor& Weight::dense() const {
  TORCH_CHECK(!is_quantized(), "the weight is kept in ", quantization_name(quantization_));
  return values_;
}

Weight Weight::operator[](int64_t index) const {
  if (!is_quantized()) return values_[index];
  return {quantization_, values_[index], scales_[index], columns_};
}

Weight Weight::narrow(int64_t first, int64_t count) const {
  if (!is_quantized()) return values_.narrow(0, first, count);
  return {quantization_, values_.narrow(0, first, count), scales_.narrow(0, first, count),
          columns_};
}

void Weight::assign(const Weight& source, const std::string& what) {
  TORCH_CHECK(source.sizes() == sizes(), "assign: ", what, " is ", at::IntArrayRef(source.sizes()),
              "; expected ", at::IntArrayRef(sizes()));
  if (source.quantization() == quantization_) {
    values_.copy_(source.values_);
    if (is_quantized()) scales_.copy_(source.scales_);
    return;
  }
  if (dim() > 2) {
    for (int64_t i = 0; i < size(0); ++i) (*this)[i].assign(source[i], what);
    return;
  }
  const int64_t step = std::max<int64_t>(1, kPieceValues / std::max<int64_t>(1, size(1)));
  for (int64_t row = 0; row < size(0); row += step) {
    const int64_t count = std::min(step, size(0) - row);
    narrow(row, count).assign_values(source.narrow(row, count).dequantize(torch::kFloat32), what);
  }
}

Weight Weight::empty_like(torch::Device device) const {
  Weight result = *this;
  result.values_ = torch::empty_like(values_, values_.options().device(device));
  if (is_quantized()) result.scales_ = torch::empty_like(scales_, scales_.options().device(device));
  return result;
}

Weight Weight::pinned() const {
  Weight result = *this;
  result.values_ = pinned_copy(values_);
  if (is_quantized()) result.scales_ = pinned_copy(scales_);
  return result;
}

void Weight::copy_from(const Weight& source) {
  values_.copy_(source.values_, /*non_blocking=*/true);
  if (is_quantized()) scales_.copy_(source.scales_, /*non_blocking=*/true);
}

void Weight::assign_values(const torch::Tensor& values, const std::string& what) {
  if (!is_quantized()) {
    values_.copy_(values);
    return;
  }
  if (device().is_cpu()) {
    const bool finite = encode_rows(quantization_, values.contiguous(), values_, scales_);
    if (!finite) throw not_finite(what, quantization_);
    return;
  }
  const torch::Tensor there = values.to(device());
  if (!there.isfinite().all().item<bool>()) throw not_finite(what, quantization_);
  const CodesAndScales encoded = encode_aten(quantization_, there);
  values_.copy_(encoded.codes);
  scales_.copy_(encoded.scales);
}

torch::Tensor Weight::dequantize(torch::ScalarType dtype) const {
  if (!is_quantized()) return values_.to(dtype);
  torch::Tensor result = torch::empty(sizes(), values_.options().dtype(dtype));
  if (device().is_cpu()) {
    const Weight rows(quantization_, values_.contiguous(), scales_.contiguous(), columns_);
    decode_rows(rows, columns_, result);
  } else if (dim() > 2) {
    // One at a time: on the way there are several float32 copies.
    for (int64_t i = 0; i < size(0); ++i) result[i].copy_((*this)[i].dequantize(dtype));
  } else {
    result.copy_(decode_aten(quantization_, values_, scales_, columns_, dtype));
  }
  return result;
}

}  // namespace foregate::tensor
