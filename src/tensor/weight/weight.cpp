#include "tensor/weight/weight.h"

#include <ATen/Parallel.h>
#include <fmt/core.h>
#include <torch/types.h>

#include <algorithm>
#include <atomic>

#include "base/error.h"
#include "tensor/device/pinned.h"
#include "tensor/weight/encoding.h"
#include "tensor/weight/quantized_rows.h"

namespace foregate::tensor {
namespace {

constexpr int64_t kPieceValues = int64_t{1} << 22;  // 16 MB of float32
constexpr int64_t kGrainValues = int64_t{1} << 14;

int64_t grain_rows(int64_t columns) {
  return std::max<int64_t>(1, kGrainValues / std::max<int64_t>(1, columns));
}

// Rows of `values` into the codes of the same rows; false if one is not finite.
bool encode_rows(const Encoding& kept, const torch::Tensor& values, torch::Tensor& codes,
                 torch::Tensor& scales) {
  const int64_t columns = values.size(1);
  const int64_t row_codes = kept.row_codes(columns);
  const int64_t row_scales = kept.row_scales(columns);
  const auto* value = values.const_data_ptr<float>();
  auto* code = static_cast<std::byte*>(codes.mutable_data_ptr());
  auto* scale = scales.mutable_data_ptr<float>();
  std::atomic<bool> finite{true};
  at::parallel_for(0, values.size(0), grain_rows(columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      if (!kept.encode_row(value + row * columns, columns, code + row * row_codes,
                           scale + row * row_scales)) {
        finite = false;
      }
    }
  });
  return finite;
}

// Row number `row` of `result`, rounded from float32.
void write_row(const float* values, int64_t columns, int64_t row, torch::Tensor& result) {
  switch (result.scalar_type()) {
    case torch::kBFloat16:
      round_to_bfloat16(values, columns,
                        static_cast<uint16_t*>(result.mutable_data_ptr()) + row * columns);
      return;
    case torch::kFloat16:
      std::copy_n(values, columns, result.mutable_data_ptr<at::Half>() + row * columns);
      return;
    default:
      TORCH_CHECK(false, "weights are not decoded to ", result.scalar_type());
  }
}

// Writes decoded rows; what is not float32 goes through a buffer that stays in the cache.
void decode_rows(const Encoding& kept, const torch::Tensor& codes, const torch::Tensor& scales,
                 int64_t columns, torch::Tensor& result) {
  const int64_t rows = columns == 0 ? 0 : result.numel() / columns;
  const int64_t row_codes = kept.row_codes(columns);
  const int64_t row_scales = kept.row_scales(columns);
  const bool in_place = result.scalar_type() == torch::kFloat32;
  const auto* code = static_cast<const std::byte*>(codes.const_data_ptr());
  const auto* scale = scales.const_data_ptr<float>();
  at::parallel_for(0, rows, grain_rows(columns), [&](int64_t begin, int64_t end) {
    std::vector<float> buffer(in_place ? 0 : columns);
    for (int64_t row = begin; row < end; ++row) {
      float* values = in_place ? result.mutable_data_ptr<float>() + row * columns : buffer.data();
      kept.decode_row(code + row * row_codes, scale + row * row_scales, columns, values);
      if (!in_place) write_row(values, columns, row, result);
    }
  });
}

std::vector<int64_t> with_last(at::IntArrayRef shape, int64_t last) {
  std::vector<int64_t> sizes = shape.vec();
  sizes.back() = last;
  return sizes;
}

}  // namespace

Weight::Weight(Quantization quantization, torch::Tensor codes, torch::Tensor scales,
               int64_t columns)
    : quantization_(quantization),
      columns_(columns),
      values_(std::move(codes)),
      scales_(std::move(scales)) {
  TORCH_CHECK(is_quantized() && values_.size(-1) == encoding(quantization).row_codes(columns),
              "Weight: codes are ", values_.sizes(), " for ", columns, " columns");
}

Weight Weight::empty(at::IntArrayRef shape, Quantization quantization, torch::Device device,
                     torch::ScalarType dtype) {
  const auto options = torch::TensorOptions().device(device);
  const Encoding& kept = encoding(quantization);
  if (kept.is_dense()) return torch::empty(shape, options.dtype(dtype));
  return {quantization, torch::empty(kept.codes_shape(shape.vec()), options.dtype(kept.code_dtype)),
          torch::empty(kept.scales_shape(shape.vec()), options.dtype(torch::kFloat32)),
          shape.back()};
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
  const Encoding& kept = encoding(quantization_);
  torch::Tensor codes = device().is_cpu() ? values_ : torch::empty_like(values_, torch::kCPU);
  torch::Tensor scales = device().is_cpu() ? scales_ : torch::empty_like(scales_, torch::kCPU);
  if (!encode_rows(kept, values.cpu().contiguous(), codes, scales)) {
    throw DataError(
        fmt::format("{} has a value that is not finite, which {} cannot keep; is the file damaged?",
                    what, kept.name));
  }
  if (device().is_cpu()) return;
  values_.copy_(codes);
  scales_.copy_(scales);
}

torch::Tensor Weight::dequantize(torch::ScalarType dtype) const {
  if (!is_quantized()) return values_.to(dtype);
  torch::Tensor result = torch::empty(sizes(), dtype);
  decode_rows(encoding(quantization_), values_.cpu().contiguous(), scales_.cpu().contiguous(),
              columns_, result);
  return result.to(device());
}

}  // namespace foregate::tensor
