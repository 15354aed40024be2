#pragma once

#include <torch/types.h>

#include <string>
#include <vector>

#include "tensor/weight/quantization.h"

namespace foregate::tensor {

/// The weight of a product, [rows, N], or a stack of them, [E, rows, N], as it is kept in memory:
/// in the compute dtype, or quantised along its rows (output channels). Copies share the data.
///
/// | kept as | codes()                          | scales()                 |
/// |---------|----------------------------------|--------------------------|
/// | int8    | [..., N] int8                    | [...] float32            |
/// | nf4     | [..., (N + 1) / 2] uint8         | [..., (N + 63) / 64] float32 |
///
/// See encoding.h. Codes are made and read on the CPU, whatever the device; kernels read them on a
/// GPU (nn/cuda/weight.h).
class Weight {
 public:
  Weight() = default;
  /// Not quantised. Implicit: most code has nothing but tensors.
  Weight(torch::Tensor dense) : values_(std::move(dense)) {}  // NOLINT(google-explicit-constructor)
  /// Over existing codes.
  Weight(Quantization quantization, torch::Tensor codes, torch::Tensor scales, int64_t columns);
  /// Room for assign(). `dtype` is that of unquantised weights.
  static Weight empty(at::IntArrayRef shape, Quantization quantization, torch::Device device,
                      torch::ScalarType dtype);

  bool defined() const { return values_.defined(); }
  Quantization quantization() const { return quantization_; }
  bool is_quantized() const { return quantization_ != Quantization::kNone; }
  torch::Device device() const { return values_.device(); }
  int64_t dim() const { return values_.dim(); }
  int64_t size(int64_t dimension) const;
  std::vector<int64_t> sizes() const;
  /// What the data takes.
  int64_t nbytes() const;

  /// The tensor of a weight that is not quantised.
  const torch::Tensor& dense() const;
  const torch::Tensor& codes() const { return values_; }
  const torch::Tensor& scales() const { return scales_; }

  /// One of the first dimension's.
  Weight operator[](int64_t index) const;
  /// A run of the first dimension's.
  Weight narrow(int64_t first, int64_t count) const;

  /// Fills this with `source`, of the same shape: converted or quantised, a piece at a time. Throws
  /// DataError, naming `what`, if a value that is to be quantised is not finite.
  void assign(const Weight& source, const std::string& what);

  /// Room for a weight of the same kind and shape.
  Weight empty_like(torch::Device device) const;
  /// A copy in pinned memory (see pinned_copy).
  Weight pinned() const;
  /// Queues a copy of a weight of the same kind and shape, whose memory must not change meanwhile.
  void copy_from(const Weight& source);

  /// The values: dense() itself if it has this dtype, otherwise a new tensor. Computed in float32,
  /// then rounded.
  torch::Tensor dequantize(torch::ScalarType dtype) const;

 private:
  void assign_values(const torch::Tensor& values, const std::string& what);

  Quantization quantization_ = Quantization::kNone;
  int64_t columns_ = 0;   ///< N of a quantised weight
  torch::Tensor values_;  ///< or codes
  torch::Tensor scales_;
};

}  // namespace foregate::tensor
